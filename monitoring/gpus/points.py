"""What one GPU did for one job, from Prometheus' grid of counters: pure functions. Times are seconds since 1970.

Between two scrapes lies a stretch, from the reading behind the first to the reading behind the second; what the
counters grew by in it is a mean over exactly that time. A stretch that reaches beyond the job's own time on the GPU is
left out: no second of another's work is ever in a point. What was not read is no point, and never 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from monitoring.rollups.stretches import AGE, BUSY, ENERGY, MEMORY_USED, OBSERVED, TENSOR, TENSOR_BUSY

AT = "at"  # when the sample behind a grid's point was scraped
READ_LEAST = 0.5  # of a stretch: a mean of less says little about it
CLOCK_S = 1.0  # so far may a reading's age and a scrape's time be off each other

Columns = Mapping[str, Mapping[float, float]]


@dataclass(frozen=True, slots=True)
class Owned:
    """A GPU or slice, and when it was the job's."""

    uuid: str
    node: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Point:
    """Means over a stretch; `seen_s` of it were read. None: the GPU does not say."""

    began: float
    ended: float
    seen_s: float
    busy: float | None
    tensor: float | None
    watts: float | None
    memory_bytes: float | None


def points_of(owned: Owned, columns: Columns) -> list[Point]:
    """`columns`: by series, its value at each time of the grid."""
    at, age, observed = (columns.get(name, {}) for name in (AT, AGE, OBSERVED))
    times: list[float] = []
    for time in sorted(at.keys() & age.keys() & observed.keys()):
        if not times or at[time] != at[times[-1]]:
            times.append(time)
    found = []
    for first, second in pairwise(times):
        began, ended = at[first] - age[first], at[second] - age[second]
        seen = observed[second] - observed[first]
        length = ended - began
        inside = began >= owned.began and at[second] <= owned.ended + CLOCK_S and ended <= owned.ended
        if inside and READ_LEAST * length <= seen <= length + CLOCK_S and seen > 0:
            found.append(_point(columns, first, second, began, ended, seen))
    return found


def _point(columns: Columns, first: float, second: float, began: float, ended: float, seen: float) -> Point:
    def grown(name: str) -> float | None:
        before, after = columns.get(name, {}).get(first), columns.get(name, {}).get(second)
        return None if before is None or after is None or after < before else after - before

    busy, tensor_busy, tensor_seen, joules = (grown(name) for name in (BUSY, TENSOR_BUSY, TENSOR, ENERGY))
    return Point(
        began,
        ended,
        seen,
        None if busy is None else min(busy / seen, 1.0),
        None if tensor_busy is None or not tensor_seen else min(tensor_busy / tensor_seen, 1.0),
        None if joules is None else joules / seen,
        columns.get(MEMORY_USED, {}).get(second),
    )


def mean(points: Sequence[Point], name: str) -> float | None:
    """Over the time that was read, of what was said."""
    known = [(getattr(point, name), point.seen_s) for point in points if getattr(point, name) is not None]
    weight = sum(seen for _value, seen in known)
    return sum(value * seen for value, seen in known) / weight if weight else None


def highest(points: Sequence[Point], name: str) -> float | None:
    return max((getattr(point, name) for point in points if getattr(point, name) is not None), default=None)
