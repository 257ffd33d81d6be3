"""What a GPU, or a MIG slice, can do at most, as the bounds need it: from the peak table of `quotas.estimator`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quotas.estimator.peaks import GPUS

FP8 = "fp8"
# What a job may declare as work of tensor cores, and the row of the peak table that holds for it: FP16 runs at BF16's
# rate. "undeclared" is at most as fast as the fastest (`Device.fastest`). INT8 is no FLOP; FP32, FP64 are other cores'.
RATE_OF = {"fp8": "fp8", "bf16": "bf16", "fp16": "bf16", "tf32": "tf32"}
UNDECLARED = "undeclared"
TENSOR_PRECISIONS = (*RATE_OF, UNDECLARED)


@dataclass(frozen=True, slots=True)
class Device:
    """A whole GPU, or a slice of one. None: nobody has stated it.

    `computes` are the precisions of its tensor cores; `peaks_flops` is the data sheet's dense FLOP/s of them, of a
    slice its SMs' part.
    """

    sms: int | None = None
    max_sm_clock_hz: int | None = None
    flop_per_clock_sm: Mapping[str, int | None] = field(default_factory=dict)
    peaks_flops: Mapping[str, float] = field(default_factory=dict)
    achievable_flops: Mapping[str, float] = field(default_factory=dict)
    is_known: bool = False

    def computes(self, precision: str) -> bool:
        """Also where the type is unknown: what may be is not ruled out."""
        return not self.is_known or precision in self.peaks_flops

    def flop_per_clock(self, precision: str) -> int | None:
        """Dense FLOPs of all its SMs in one clock cycle; 0 where it has no tensor core for the precision."""
        if not self.computes(precision):
            return 0
        rate = self.flop_per_clock_sm.get(precision)
        return None if rate is None or self.sms is None else rate * self.sms

    @property
    def fastest(self) -> str:
        """The precision with most FLOPs a clock: what an unknown tensor instruction could have been at most."""
        return max(self.peaks_flops, key=lambda precision: self.peaks_flops[precision], default=FP8)


def device_of(gpu_type: str, parent: str = "") -> Device:
    """Of Slurm's GRES type in lower case; `parent` is the GPU that a slice is cut from, by the portal's own table.

    A slice's name ends with NVIDIA's profile (`h100_1g.10gb`), by which its SMs are known: a seventh of an H100 has 16
    of its 132, not 18.86. A profile that the table does not have leaves the SMs, and with them every bound, unknown.
    """
    whole = GPUS.get(gpu_type)
    if whole is not None:
        return Device(
            whole.sms, whole.max_sm_clock_hz, whole.flop_per_clock_sm, whole.peaks_flops, whole.achievable_flops, True
        )
    named, _mark, profile = gpu_type.partition("_")
    whole = GPUS.get(parent or named)
    sms = whole.slice_sms.get(profile or gpu_type) if whole else None
    if whole is None or sms is None or whole.sms is None:
        return Device()
    part = sms / whole.sms
    return Device(
        sms,
        whole.max_sm_clock_hz,
        whole.flop_per_clock_sm,
        {precision: peak * part for precision, peak in whole.peaks_flops.items()},
        {precision: peak * part for precision, peak in whole.achievable_flops.items()},
        True,
    )
