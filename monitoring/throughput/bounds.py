"""How many FLOPs came out, as [lower, upper].

NVIDIA's drivers count no FP8 operation. What they count (NVML GPM, Hopper and later) is in how many cycles a tensor
core was active, whatever it computed. Hence:

- lower: what the job itself declared, by precision. Without a declaration 0.
- upper: clock cycles with a tensor core active × SMs × dense FLOPs that an SM does in a clock at that precision, where
  the cycles were read; the peak at the highest clock that the driver allows where they were not. Never activity × the
  data sheet's peak: an H100 clocks higher (1,980 MHz) than the 1,830 MHz at which the sheet's 1,979 TFLOPS are reached.
- a precision that was not declared is anywhere in [0, upper]: cycles do not tell FP8 from BF16.
- 2:4 sparsity does twice the FLOPs in a cycle. The upper bound counts it where it was declared; elsewhere it assumes
  dense matrices, which a report must say.
- more declared than the cycles allow is flagged and not counted. It never becomes the upper bound.

Unknown stays unknown: an upper bound that needs a figure which the peak table does not have is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.throughput.devices import FP8, RATE_OF, UNDECLARED, Device

EFLOP_HOUR = 3.6e21  # FLOPs: 10^18 a second, for an hour
SPARSE_FACTOR = 2  # 2:4 structured sparsity, NVIDIA A100 whitepaper
TOLERANCE = 0.02  # of cycles that are sampled: so much above the upper bound is still the upper bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """Clock cycles in which a tensor core was active, a mean over SMs, of devices of one type; and the seconds for
    which nobody read them. `sparse`: of runs that declared 2:4 sparsity."""

    dense: float = 0.0
    sparse: float = 0.0
    unread_dense_s: float = 0.0
    unread_sparse_s: float = 0.0

    @property
    def read(self) -> float:
        """Cycles, each as many times as FLOPs come out of it compared with dense ones."""
        return self.dense + SPARSE_FACTOR * self.sparse

    @property
    def unread_s(self) -> float:
        return self.unread_dense_s + SPARSE_FACTOR * self.unread_sparse_s


def upper_flop(device: Device, cycles: Cycles, precision: str = FP8) -> float | None:
    """What came out at most if all of it was in that precision. 0 where the device has no tensor core for it."""
    a_clock = device.flop_per_clock(precision)
    if not a_clock:
        return a_clock
    if not cycles.unread_s:
        return a_clock * cycles.read
    if device.max_sm_clock_hz is None:
        return None
    return a_clock * (cycles.read + device.max_sm_clock_hz * cycles.unread_s)


def upper_any_flop(device: Device, cycles: Cycles) -> float | None:
    """What came out of tensor cores at most, in whatever precision: all of it in the device's fastest."""
    return upper_flop(device, cycles, device.fastest)


def allocated_flop(device: Device, device_seconds: float, precision: str = FP8) -> float | None:
    """What the allocated time is worth at the data sheet's dense peak: the unit in which a centre is planned."""
    if not device.computes(precision):
        return 0.0
    peak = device.peaks_flops.get(precision)
    return None if peak is None else peak * device_seconds


def achievable_flop(device: Device, device_seconds: float, precision: str = FP8) -> float | None:
    """The same at the best that anybody has shown. None where nobody has."""
    best = device.achievable_flops.get(precision)
    return None if best is None else best * device_seconds


def is_above_possible(device: Device, cycles: Cycles, declared: Mapping[str, float]) -> bool:
    """Whether a job declared more than its tensor cycles allow. FLOPs of several precisions share the cycles.

    `declared`: dense-equivalent FLOPs by precision. False where the table lacks a figure: what cannot be checked is not
    accused.
    """
    needed = 0.0
    for precision, flop in declared.items():
        row = device.fastest if precision == UNDECLARED else RATE_OF.get(precision)
        rate = None if row is None else device.flop_per_clock(row)
        if rate is None:
            continue  # not a tensor core's work, or not known how fast
        if not rate:
            return flop > 0  # it has no tensor core for that
        needed += flop / rate
    if cycles.unread_s and device.max_sm_clock_hz is None:
        return False
    possible = cycles.read + (device.max_sm_clock_hz or 0) * cycles.unread_s
    return needed > possible * (1 + TOLERANCE)


def eflop_hours(flop: float | None) -> float | None:
    return None if flop is None else flop / EFLOP_HOUR
