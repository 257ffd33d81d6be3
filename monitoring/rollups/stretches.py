"""What one GPU's counters say about the runs that owned it: pure functions over the samples of a window.

Between two scrapes of a GPU lies a *stretch*: from the reading behind the first to the reading behind the second. What
the counters grew by in it belongs to the one run that owned the GPU in that time. With two owners it belongs to
neither: those seconds are unobserved for both. A stretch longer than 2.5 scrape intervals is a gap, and unobserved.
Stretches that follow each other under the same owner are added up before anything is compared, so that a scrape that
came a moment early or late takes nothing away.

Of what an exporter did not read inside a stretch (a sick GPU, a restart), all is taken to be missing from the run's
part: `observed` is never more than was really seen of the run.

Times are seconds since 1970 as floats here; results are whole microseconds.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP_SCRAPES = 2.5
MICRO = 1_000_000

OBSERVED = "gpu_observed_seconds_total"
AGE = "gpu_reading_age_seconds"
CYCLES = "gpu_tensor_clock_cycles_total"
COUNTER, GAUGE = "gpm_counter", "gpm_gauge"
TENSOR = "gpu_tensor_observed_seconds_total"  # labelled with the source
BUSY = "gpu_busy_seconds_total"
TENSOR_BUSY = "gpu_tensor_busy_seconds_total"
THROTTLED = "gpu_throttled_seconds_total"
ENERGY = "gpu_energy_joules_total"
MEMORY_USED, MEMORY_TOTAL = "nvidia_gpu_memory_used_bytes", "nvidia_gpu_memory_total_bytes"  # no counters
COUNTERS = (OBSERVED, CYCLES, (TENSOR, COUNTER), (TENSOR, GAUGE), BUSY, TENSOR_BUSY, THROTTLED, ENERGY)
Name = str | tuple[str, str]
SECONDS = (BUSY, TENSOR_BUSY, THROTTLED)  # parts of the observed time, never more than it


@dataclass(frozen=True, slots=True)
class Samples:
    """One series, in order of time."""

    at: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Owner:
    """An interval of attribution. `charged_*` lies inside; None where nothing is charged for it."""

    run: object
    started: float
    ended: float
    charged_from: float | None
    charged_to: float | None

    def owns(self, began: float, ended: float) -> float:
        return max(0.0, min(self.ended, ended) - max(self.started, began))

    def charged(self, began: float, ended: float) -> float:
        if self.charged_from is None or self.charged_to is None:
            return 0.0
        return max(0.0, min(self.charged_to, ended) - max(self.charged_from, began))


@dataclass(slots=True)
class Amounts:
    """What a window has of one run, of all its devices together: microseconds of devices, clock cycles, joules."""

    observed_us: int = 0
    outside_us: int = 0  # owned and read, before the run's start or after its end
    two_owners_us: int = 0
    unread_us: int = 0  # scraped, but the exporter had read nothing
    counter_us: int = 0  # with tensor cycles, from the driver's own counters
    gauge_us: int = 0  # the same from its gauges
    busy_us: int = 0
    tensor_busy_us: int = 0
    throttled_us: int = 0
    tensor_clock_cycles: float = 0.0
    energy_j: float = 0.0
    devices: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From sample `number` to the next. `length` is the time that the counters can have grown by; `began` may lie
    before it where the age of a reading is not known."""

    number: int
    began: float
    ended: float
    length: float


class Readings:
    """One GPU's series, by the time of the scrape. A series that lacks a scrape has None there.

    is_whole: only the first and the last are there, and nothing is missing between them (`whole`).
    """

    def __init__(self, series: dict[Name, Samples], scrape_s: float, *, is_whole: bool = False) -> None:
        self.scrape_s, self.is_whole = scrape_s, is_whole
        observed = series.get(OBSERVED, Samples([], []))
        self.at = observed.at
        self.columns = {name: self._column(series[name]) for name in COUNTERS if name in series}
        self.ages = self._column(series[AGE]) if AGE in series else None

    def _column(self, samples: Samples) -> Sequence[float | None]:
        if len(samples.at) == len(self.at) and list(samples.at) == list(self.at):
            return samples.values
        known = dict(zip(samples.at, samples.values, strict=True))
        return [known.get(at) for at in self.at]

    def reading_at(self, number: int) -> float | None:
        """When the counters of a scrape were last added to."""
        age = self.ages[number] if self.ages is not None else None
        return None if age is None else self.at[number] - age

    def stretch(self, number: int) -> _Stretch | None:
        """None where it is a gap, or where nothing new was read."""
        first, second = self.at[number], self.at[number + 1]
        if second - first > GAP_SCRAPES * self.scrape_s and not self.is_whole:
            return None
        began, ended = self.reading_at(number), self.reading_at(number + 1)
        if began is None or ended is None:
            return _Stretch(number, first - self.scrape_s, second, second - first)
        return _Stretch(number, began, ended, ended - began) if ended > began else None

    def increase(self, name: Name, first: int, last: int) -> float:
        """From one scrape to a later one. A counter that fell began again at 0."""
        column = self.columns.get(name)
        if column is None:
            return 0.0
        values = column[first : last + 1]
        total = 0.0
        for before, after in pairwise(values):
            if before is not None and after is not None:
                total += after - before if after >= before else after
        return total


def fold(readings: Readings, owners: Sequence[Owner], began: float, ended: float) -> dict[object, Amounts]:
    """What the window [began, ended) has of each run that owned the GPU.

    A stretch that crosses an edge of the window is divided in proportion to the run's time, so the samples must reach
    beyond both edges by 2.5 scrape intervals; what is not there yet is missing, and comes when the window is read anew.
    """
    found: dict[object, Amounts] = {}
    first = max(0, bisect_left(readings.at, began) - 3)
    last = min(len(readings.at) - 1, bisect_left(readings.at, ended) + 3)
    same: list[_Stretch] = []
    of: Owner | None = None
    for number in range(first, last):
        stretch = readings.stretch(number)
        inside = stretch is not None and stretch.ended > began and stretch.began + _blur(stretch) < ended
        here = _owners(owners, stretch) if stretch is not None and inside else []
        runs = {owner.run for owner in here}
        if stretch is None or len(runs) != 1:
            _close(readings, of, same, found, began, ended)
            same, of = [], None
            if stretch is not None and len(runs) > 1:
                _contested(stretch, here, found, began, ended)
            continue
        crosses = stretch.began + _blur(stretch) < began or stretch.ended > ended
        if same and (here[0] is not of or crosses or same[-1].number != number - 1):
            _close(readings, of, same, found, began, ended)
            same = []
        same.append(stretch)
        of = here[0]
        if crosses:
            _close(readings, of, same, found, began, ended)
            same, of = [], None
    _close(readings, of, same, found, began, ended)
    return found


def _blur(stretch: _Stretch) -> float:
    return (stretch.ended - stretch.began) - stretch.length


def _owners(owners: Sequence[Owner], stretch: _Stretch) -> list[Owner]:
    return [owner for owner in owners if owner.started < stretch.ended and owner.ended > stretch.began]


def _contested(
    stretch: _Stretch, owners: Sequence[Owner], found: dict[object, Amounts], began: float, ended: float
) -> None:
    low, high = max(stretch.began + _blur(stretch), began), min(stretch.ended, ended)
    for owner in owners:
        lost = round(owner.charged(low, high) * MICRO)
        if lost:
            found.setdefault(owner.run, Amounts()).two_owners_us += lost


def _lost_beyond(readings: Readings, owner: Owner, edge: _Stretch, name: Name) -> float:
    """Of what was not read in the first or last stretch of a run: more than the run has of it was not the run's."""
    lost = max(0.0, edge.length - readings.increase(name, edge.number, edge.number + 1))
    return max(0.0, lost - owner.charged(edge.began + _blur(edge), edge.ended))


def _share(
    owner: Owner, charged: float, inside: float, stretch: tuple[float, float], window: tuple[float, float]
) -> float:
    """The part of what the counters grew by that is the run's in the window.

    Outside the run's own times it is all the run's too: the last reading before its end enters the counters after it.
    """
    if charged or owner.charged_from is None:
        return inside / charged if charged else 0.0
    common = min(stretch[1], window[1]) - max(stretch[0], window[0])
    return common / (stretch[1] - stretch[0]) if stretch[1] > stretch[0] else 1.0


def _close(
    readings: Readings,
    owner: Owner | None,
    same: Sequence[_Stretch],
    found: dict[object, Amounts],
    began: float,
    ended: float,
) -> None:
    """Adds stretches of one owner that follow each other. One that crosses an edge of the window comes alone."""
    if owner is None or not same:
        return
    low, high = same[0].began + _blur(same[0]), same[-1].ended
    charged = owner.charged(low, high)
    inside = owner.charged(max(low, began), min(high, ended))
    outside = owner.owns(max(low, began), min(high, ended)) - inside
    amounts = found.setdefault(owner.run, Amounts())
    first, last = same[0].number, same[-1].number + 1
    length = sum(stretch.length for stretch in same)
    share = _share(owner, charged, inside, (low, high), (began, ended))
    edges = (same[0], same[-1]) if len(same) > 1 else ()

    def seen(name: Name) -> float:
        lost = max(0.0, length - readings.increase(name, first, last))
        lost -= sum(_lost_beyond(readings, owner, edge, name) for edge in edges)
        return max(0.0, charged - max(0.0, lost)) * share

    observed = seen(OBSERVED)
    amounts.observed_us += round(observed * MICRO)
    amounts.unread_us += round(inside * MICRO) - round(observed * MICRO)
    amounts.outside_us += round(outside * MICRO)
    if not share:
        return
    amounts.counter_us += round(seen((TENSOR, COUNTER)) * MICRO)
    amounts.gauge_us += round(seen((TENSOR, GAUGE)) * MICRO)
    parts = [min(readings.increase(name, first, last) * share, observed) for name in SECONDS]
    amounts.busy_us += round(parts[0] * MICRO)
    amounts.tensor_busy_us += round(parts[1] * MICRO)
    amounts.throttled_us += round(parts[2] * MICRO)
    amounts.tensor_clock_cycles += readings.increase(CYCLES, first, last) * share
    amounts.energy_j += readings.increase(ENERGY, first, last) * share
