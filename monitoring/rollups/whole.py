"""GPUs of which a window's two edges say everything: one run owned them throughout, and no scrape is missing.

Most of a busy centre's are such, in most windows. Between the edges their counters only grew, so that a quarter of the
samples gives the same figures. What is not certainly so is read whole.
"""

from collections.abc import Mapping, Sequence

from monitoring.rollups.prometheus import Prometheus, selector_of
from monitoring.rollups.stretches import AGE, COUNTERS, OBSERVED, Name, Owner, Samples

LEAST_GPUS = 256  # of fewer, one look at everything is as quick
EDGE_SCRAPES = 8  # of each edge of what is read: half of it lies beyond the window
LOST_MOST = 0.005  # of the time, and one scrape: what the exporter did not read is taken off, as anywhere
Series = dict[Name, Samples]


def whole_read(
    prometheus: Prometheus, owners: Mapping[str, Sequence[Owner]], began: float, ended: float, scrape_s: float
) -> dict[str, Series]:
    """By UUID, the samples of both edges of [began, ended]; no GPU of which they do not say everything. Raises
    PrometheusError."""
    edge_s = EDGE_SCRAPES * scrape_s
    owned = [uuid for uuid, of_gpu in owners.items() if _is_owned_throughout(of_gpu, began, ended)]
    if len(owned) < LEAST_GPUS or ended - began < 3 * edge_s:
        return {}
    counts = _by_uuid(prometheus, "count_over_time", (*COUNTERS, AGE), began, ended)
    resets = _by_uuid(prometheus, "resets", COUNTERS, began, ended)
    first, last = prometheus.series(began, began + edge_s), prometheus.series(ended - edge_s, ended)
    found = {}
    for uuid in owned:
        low, high = first.get(uuid, {}), last.get(uuid, {})
        is_known = OBSERVED in low and low.keys() == high.keys() == counts.get(uuid, {}).keys()
        if is_known and not any(resets[uuid].values()) and _is_whole(low, high, set(counts[uuid].values()), scrape_s):
            found[uuid] = {name: _joined(low[name], high[name]) for name in low}
    return found


def _is_owned_throughout(owners: Sequence[Owner], began: float, ended: float) -> bool:
    if len(owners) != 1:
        return False
    (one,) = owners
    length = ended - began
    return one.owns(began, ended) == length == one.charged(began, ended)


def _by_uuid(
    prometheus: Prometheus, function: str, names: Sequence[Name], began: float, ended: float
) -> dict[str, dict[Name, float]]:
    """Of a GPU whose exporter moved the sum of both series: no count of a whole one."""
    found: dict[str, dict[Name, float]] = {}
    for name in names:
        for row in prometheus.at(f"sum by (uuid) ({function}({selector_of(name, began, ended)}))", ended):
            found.setdefault(row["metric"].get("uuid", ""), {})[name] = float(row["value"][1])
    return found


def _is_whole(low: Series, high: Series, counts: set[float], scrape_s: float) -> bool:
    """All series have the same scrapes, as many as there are intervals between the first and the last, and what was
    observed grew by the time."""
    starts, ends = low[OBSERVED].at, high[OBSERVED].at
    if len(counts) != 1 or any(low[name].at != starts or high[name].at != ends for name in low):
        return False
    length = ends[-1] - starts[0]
    if abs(length / scrape_s - (counts.pop() - 1)) > 0.5:
        return False
    read = high[OBSERVED].values[-1] - low[OBSERVED].values[0]
    return abs(read - length) <= LOST_MOST * length + scrape_s


def _joined(low: Samples, high: Samples) -> Samples:
    return Samples([*low.at, *high.at], [*low.values, *high.values])
