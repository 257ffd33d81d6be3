"""From readings to counters: what passed between two good readings of one device, and nothing that no pair covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SLICES_WHOLE = 7  # compute slices of one GPU
# Reasons for a clock that are nobody's loss: idle, a clock that was asked for, boost together with others, a display.
HARMLESS_REASONS = 0x1 | 0x2 | 0x10 | 0x100
GPM_COUNTER, GPM_GAUGE = "gpm_counter", "gpm_gauge"
# GPM metric ids.
SM_ACTIVE_GAUGE, TENSOR_GAUGE = "2", "5"
ELAPSED, SM_ACTIVE, TENSOR = "248", "249", "250"
ROUNDING = 1.001  # two counters that are not read at the very same moment
CLOCK_ROUNDING = 0.01
STEADY = 1.1  # two clocks that differ by no more are one clock, and their mean is what it was


@dataclass(frozen=True)
class Increase:
    """What a device did between two readings."""

    seconds: float
    busy_seconds: float
    throttled_seconds: float
    tensor_source: str  # "", GPM_COUNTER or GPM_GAUGE
    tensor_share: float  # of the SM cycles
    clock_hz: float
    cycles_a_clock: int | None  # of the driver's counter of elapsed cycles, where this pair shows it


@dataclass
class Counters:
    """Since this process began; they only grow."""

    observed_seconds: float = 0.0
    busy_seconds: float = 0.0
    throttled_seconds: float = 0.0
    tensor_busy_seconds: float = 0.0
    tensor_clock_cycles: float = 0.0
    tensor_observed_seconds: dict[str, float] = field(default_factory=dict)
    energy_joules: float = 0.0
    has_energy: bool = False
    counted_at: float = 0.0  # monotonic time of the last reading that is in them

    def add(self, increase: Increase, at: float) -> None:
        self.counted_at = at
        self.observed_seconds += increase.seconds
        self.busy_seconds += increase.busy_seconds
        self.throttled_seconds += increase.throttled_seconds
        if increase.tensor_source:
            covered = self.tensor_observed_seconds.get(increase.tensor_source, 0.0)
            self.tensor_observed_seconds[increase.tensor_source] = covered + increase.seconds
            self.tensor_busy_seconds += increase.seconds * increase.tensor_share
            self.tensor_clock_cycles += increase.seconds * increase.clock_hz * increase.tensor_share


def increase_between(
    before: dict[str, Any],
    now: dict[str, Any],
    *,
    gpu_before: dict[str, Any],
    gpu: dict[str, Any],
    gap_most_s: float,
    cycles_a_clock: int | None = None,
) -> Increase | None:
    """What passed between two readings of one device; None where they are no good pair.

    gpu: the readings of the GPU that the device is or is a slice of; its clock stands there. No pair: too far
    apart, a driver's counter that ran backwards (reset, loaded anew), or no utilisation. cycles_a_clock: what an
    earlier pair showed.
    """
    seconds = now["at"] - before["at"]
    if not 0 < seconds <= gap_most_s or _ran_backwards(before, now):
        return None
    busy = _busy_share(before, now)
    if busy is None:
        return None
    source, share = _tensor(before, now)
    clocks = [reading["values"].get("sm_clock_mhz") for reading in (gpu_before, gpu)]
    if None in clocks:
        source, clocks = "", [0, 0]
    shown, clock_hz = _clock(clocks, _elapsed(before, now), seconds, cycles_a_clock, gpu)
    return Increase(
        seconds=seconds,
        busy_seconds=seconds * busy,
        throttled_seconds=seconds * (_is_throttled(gpu_before) + _is_throttled(gpu)) / 2,
        tensor_source=source,
        tensor_share=share,
        clock_hz=clock_hz,
        cycles_a_clock=shown,
    )


def _clock(
    clocks: list[float], elapsed: float | None, seconds: float, cycles_a_clock: int | None, gpu: dict[str, Any]
) -> tuple[int | None, float]:
    """(cycles a clock, mean clock in Hz) of a pair.

    Where the clock stood still, the pair shows how many elapsed cycles the driver counts in one clock: one, or one for
    each SM. With that known, elapsed cycles are the clock of a pair in which it jumped: a job began or ended. The mean
    of both ends would be off by up to 0.4 of the pair then, to either side, and an upper bound below what was done is
    none. Not known: the higher end.
    """
    low, high = sorted(clocks)
    if high <= low * STEADY:
        mean_hz = (low + high) / 2 * 1e6
        return (_near_whole(elapsed / (mean_hz * seconds)) if elapsed and low == high > 0 else None), mean_hz
    if elapsed is None or cycles_a_clock is None:
        return None, high * 1e6
    most = gpu["values"].get("sm_clock_most_mhz") or high
    return None, min(max(elapsed / (cycles_a_clock * seconds), low * 1e6), max(most, high) * 1e6)


def _near_whole(value: float) -> int | None:
    """A clock that jumped and came back between two readings shows something else."""
    whole = round(value)
    return whole if whole and abs(value / whole - 1) < CLOCK_ROUNDING else None


def energy_joules_between(before: dict[str, Any], now: dict[str, Any]) -> float | None:
    """From the driver's own counter; None where it has none, or began anew."""
    first, last = before["values"].get("energy_mj"), now["values"].get("energy_mj")
    return None if first is None or last is None or last < first else (last - first) / 1000


def _ran_backwards(before: dict[str, Any], now: dict[str, Any]) -> bool:
    pairs = [(before["values"].get("energy_mj"), now["values"].get("energy_mj"))]
    earlier = _counters(before)
    pairs += [(earlier.get(metric), value) for metric, value in _counters(now).items()]
    return any(first is not None and last is not None and last < first for first, last in pairs)


def _gpm(reading: dict[str, Any]) -> dict[str, float]:
    return reading["gpm"].get("values") or {}


def _counters(reading: dict[str, Any]) -> dict[str, float]:
    return {metric: value for metric, value in _gpm(reading).items() if int(metric) >= int(ELAPSED)}


def _ratio(before: dict[str, Any], now: dict[str, Any], part: str) -> float | None:
    """Of two cumulative counters. Whether they count one SM's cycles or all SMs' is undocumented: only this is used."""
    first, last = _gpm(before), _gpm(now)
    elapsed = _elapsed(before, now)
    if not elapsed or part not in first or part not in last:
        return None
    return _share((last[part] - first[part]) / elapsed)


def _elapsed(before: dict[str, Any], now: dict[str, Any]) -> float | None:
    """Cycles, of one SM or of all. None where the driver does not count them, or counted none."""
    first, last = _gpm(before).get(ELAPSED), _gpm(now).get(ELAPSED)
    return None if first is None or last is None or last <= first else last - first


def _gauge(before: dict[str, Any], now: dict[str, Any], metric: str) -> float | None:
    """What GPM says of the time between its own two samples, where those are our two readings."""
    since, percent = now["gpm"].get("since"), _gpm(now).get(metric)
    if percent is None or since is None or abs(since - before["at"]) > 0.2 * (now["at"] - before["at"]):
        return None
    return _share(percent / 100)


def _share(value: float) -> float | None:
    return min(value, 1.0) if 0 <= value <= ROUNDING else None


def _tensor(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, float]:
    for source, share in ((GPM_COUNTER, _ratio(before, now, TENSOR)), (GPM_GAUGE, _gauge(before, now, TENSOR_GAUGE))):
        if share is not None:
            return source, share
    return "", 0.0


def _busy_share(before: dict[str, Any], now: dict[str, Any]) -> float | None:
    first, last = before["values"].get("utilisation"), now["values"].get("utilisation")
    if first is not None and last is not None:
        return float(first + last) / 2
    share = _ratio(before, now, SM_ACTIVE)
    return _gauge(before, now, SM_ACTIVE_GAUGE) if share is None else share


def _is_throttled(reading: dict[str, Any]) -> bool:
    return bool(reading["values"].get("reasons", 0) & ~HARMLESS_REASONS)
