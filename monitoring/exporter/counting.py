"""From readings to counters: what passed between two good readings of one device, and nothing that no pair covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SLICES_WHOLE = 7  # compute slices of one GPU
# Reasons for a clock that are nobody's loss: idle, a clock that was asked for, boost together with others, a display.
HARMLESS_REASONS = 0x1 | 0x2 | 0x10 | 0x100
GPM_COUNTER, GPM_GAUGE = "gpm_counter", "gpm_gauge"
# GPM metric ids.
BUSY_GAUGE, SM_ACTIVE_GAUGE, TENSOR_GAUGE = "1", "2", "5"
ELAPSED, SM_ACTIVE, TENSOR = "248", "249", "250"
ROUNDING = 1.001  # two counters that are not read at the very same moment


@dataclass(frozen=True)
class Increase:
    """What a device did between two readings."""

    seconds: float
    busy_seconds: float
    throttled_seconds: float
    tensor_source: str  # "", GPM_COUNTER or GPM_GAUGE
    tensor_share: float  # of the SM cycles
    clock_hz: float


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
) -> Increase | None:
    """What passed between two readings of one device; None where they are no good pair.

    gpu: the readings of the GPU that the device is or is a slice of; its clock stands there. No pair: too far
    apart, a driver's counter that ran backwards (reset, loaded anew), or no utilisation.
    """
    seconds = now["at"] - before["at"]
    if not 0 < seconds <= gap_most_s or _ran_backwards(before, now):
        return None
    busy = _busy_share(before, now)
    if busy is None:
        return None
    source, share = _tensor(before, now)
    clock_hz = _clock_hz(gpu_before, gpu)
    return Increase(
        seconds=seconds,
        busy_seconds=seconds * busy,
        throttled_seconds=seconds * (_is_throttled(gpu_before) + _is_throttled(gpu)) / 2,
        tensor_source=source if clock_hz else "",
        tensor_share=share,
        clock_hz=clock_hz,
    )


def _clock_hz(before: dict[str, Any], now: dict[str, Any]) -> float:
    """The mean of what was looked at between two readings of a GPU; 0 where nothing is known.

    Without looks, the higher of both ends: their mean can be below what was done, and an upper bound then is none.
    """
    looked = now["clock"]
    if looked and _is_of_pair(looked["since"], before, now):
        return float(looked["mhz"]) * 1e6
    clocks = [reading["values"].get("sm_clock_mhz") for reading in (before, now)]
    return 0.0 if None in clocks else max(clocks) * 1e6


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
    if any(metric not in one for one in (first, last) for metric in (ELAPSED, part)):
        return None
    elapsed = last[ELAPSED] - first[ELAPSED]
    return _share((last[part] - first[part]) / elapsed) if elapsed > 0 else None


def _gauge(before: dict[str, Any], now: dict[str, Any], metric: str) -> float | None:
    """What GPM says of the time between its own two samples, where those are our two readings."""
    since, percent = now["gpm"].get("since"), _gpm(now).get(metric)
    if percent is None or since is None or not _is_of_pair(since, before, now):
        return None
    return _share(percent / 100)


def _is_of_pair(since: float, before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Did what the child measured since then begin with the earlier reading?"""
    return abs(since - before["at"]) <= 0.2 * (now["at"] - before["at"])


def _share(value: float) -> float | None:
    return min(value, 1.0) if 0 <= value <= ROUNDING else None


def _tensor(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, float]:
    for source, share in ((GPM_COUNTER, _ratio(before, now, TENSOR)), (GPM_GAUGE, _gauge(before, now, TENSOR_GAUGE))):
        if share is not None:
            return source, share
    return "", 0.0


def _busy_share(before: dict[str, Any], now: dict[str, Any]) -> float | None:
    """Of the time in which a kernel ran; of a slice, of which no driver says that, of its SM cycles with work."""
    first, last = before["values"].get("utilisation"), now["values"].get("utilisation")
    if first is not None and last is not None:  # the driver's own, of the last second only
        share = _gauge(before, now, BUSY_GAUGE)
        return float(first + last) / 2 if share is None else share
    share = _ratio(before, now, SM_ACTIVE)
    return _gauge(before, now, SM_ACTIVE_GAUGE) if share is None else share


def _is_throttled(reading: dict[str, Any]) -> bool:
    return bool(reading["values"].get("reasons", 0) & ~HARMLESS_REASONS)
