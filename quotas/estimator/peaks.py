"""What a GPU can do at most: dense FLOP/s by precision, as the makers' data sheets state it.

Sources: NVIDIA's data sheets of A100 80GB, H100, H200, L40S, DGX B200 and DGX B300, AMD's of Instinct MI300X; where a
sheet states a figure with 2:4 sparsity, half of it. Memory is the sheet's, in GB of 10^9 bytes. A change of any figure
gets a new PEAKS_VERSION: an estimate names the one it was made with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from quotas.estimator.errors import EstimateError

PEAKS_VERSION = "2026-11"
GIGA, TERA = 10**9, 10**12


@dataclass(frozen=True, slots=True)
class Gpu:
    """`type` is Slurm's GRES type, as in the ledger; peaks are in FLOP/s, by precision."""

    type: str
    name: str
    memory_bytes: int
    peaks_flops: Mapping[str, int]

    @property
    def memory_gb(self) -> int:
        return self.memory_bytes // GIGA

    def peak_tflops(self, precision: str) -> float | None:
        peak = self.peaks_flops.get(precision)
        return None if peak is None else peak / TERA


def _gpu(type: str, name: str, memory_gb: int, **tflops: float) -> Gpu:
    return Gpu(type, name, memory_gb * GIGA, {precision: round(peak * TERA) for precision, peak in tflops.items()})


GPUS = {
    gpu.type: gpu
    for gpu in (
        _gpu("h100", "H100 SXM", 80, fp8=1979, bf16=989, tf32=494.5),
        _gpu("h100-pcie", "H100 PCIe", 80, fp8=1513, bf16=756, tf32=378),
        _gpu("h200", "H200", 141, fp8=1979, bf16=989, tf32=494.5),
        _gpu("b200", "B200", 180, fp8=4500, bf16=2250, tf32=1125),
        _gpu("b300", "B300", 288, fp8=4500, bf16=2250, tf32=1125),
        _gpu("a100", "A100", 80, bf16=312, tf32=156),
        _gpu("l40s", "L40S", 48, fp8=733, bf16=362, tf32=183),
        _gpu("mi300x", "MI300X", 192, fp8=2610, bf16=1300, tf32=653.7),
    )
}
PRECISIONS = ("fp8", "bf16", "tf32")
BYTES_A_WEIGHT = {"fp8": 1, "bf16": 2, "tf32": 4}


def gpu_get(gpu_type: str) -> Gpu:
    """Raises EstimateError beside `gpu_type`."""
    if gpu_type not in GPUS:
        known = {"gpu_type": gpu_type, "known": ", ".join(GPUS)}
        raise EstimateError("gpu_type", _("The peak table has no GPU type “%(gpu_type)s”. It has: %(known)s.") % known)
    return GPUS[gpu_type]


def peak_get(gpu: Gpu, precision: str) -> int:
    """FLOP/s. Raises EstimateError beside `precision`."""
    if precision not in gpu.peaks_flops:
        known = {"gpu": gpu.name, "precision": precision.upper(), "known": ", ".join(gpu.peaks_flops).upper()}
        raise EstimateError("precision", _("%(gpu)s does not compute in %(precision)s, only in: %(known)s.") % known)
    return gpu.peaks_flops[precision]
