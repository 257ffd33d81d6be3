"""Four charts of a job's GPUs, as the geometry of inline SVGs: no script, no style attribute.

The SVG is stretched to the width of the page, so it holds no text: the axes' labels stand around it. A point is drawn
as the level line of the time that it is the mean of; where nothing was read there is no line.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from monitoring.gpus.asking import POINTS_MOST, Gpu, Seen
from monitoring.gpus.points import Point, highest, mean

WIDTH, HEIGHT = 600, 100
LINES_MOST = 8  # above it the lines of single GPUs would hide each other
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Chart:
    id: str
    title: str
    unit: str
    top: float
    lines: tuple[str, ...]  # of single GPUs, paths
    mean_line: str
    now: float | None  # the mean of the last points
    mean: float | None
    highest: float | None

    @property
    def middle(self) -> float:
        return self.top / 2


@dataclass(frozen=True, slots=True)
class Row:
    """One GPU in the table under the charts. Shares in percent, memory in GiB."""

    gpu: Gpu
    busy: float | None
    tensor: float | None
    memory: float | None
    memory_total: float | None
    watts: float | None
    seen_s: float


def charts_of(seen: Seen) -> list[Chart]:
    totals = [gpu.memory_total_bytes for gpu in seen.gpus if gpu.memory_total_bytes]
    memory_top = max(totals) / GIB if totals else None
    return [
        _chart(seen, "busy", _("GPU utilisation"), "%", 100.0, 100.0),
        _chart(seen, "tensor", _("Tensor cores active"), "%", 100.0, 100.0),
        _chart(seen, "memory_bytes", pgettext("of a GPU", "Memory"), "GiB", 1 / GIB, memory_top),
        _chart(seen, "watts", _("Power"), "W", 1.0, None),
    ]


def rows_of(seen: Seen) -> list[Row]:
    return [
        Row(
            gpu,
            _times(mean(gpu.points, "busy"), 100),
            _times(mean(gpu.points, "tensor"), 100),
            _times(highest(gpu.points, "memory_bytes"), 1 / GIB),
            _times(gpu.memory_total_bytes, 1 / GIB),
            mean(gpu.points, "watts"),
            sum(point.seen_s for point in gpu.points),
        )
        for gpu in seen.gpus
    ]


def ticks_of(seen: Seen) -> list[datetime]:
    """The first moment, the middle and the last."""
    times = (seen.began, (seen.began + seen.ended) / 2, seen.ended)
    return [datetime.fromtimestamp(time, UTC) for time in times]


def _chart(seen: Seen, name: str, title: str, unit: str, factor: float, top: float | None) -> Chart:
    everything = [point for gpu in seen.gpus for point in gpu.points]
    most = highest(everything, name)
    drawn = top or round_top((most or 0) * factor)
    spans = [(gpu, _known(gpu.points, name)) for gpu in seen.gpus]

    def y_of(value: float) -> float:
        return HEIGHT * (1 - min(value * factor / drawn, 1.0))

    def path(points: Iterable[tuple[float, float, float]]) -> str:
        return path_of(points, seen.began, seen.ended, y_of)

    few = len(seen.gpus) <= LINES_MOST
    lines = tuple(path(points) for _gpu, points in spans if points) if few and len(seen.gpus) > 1 else ()
    last = [points[-1] for _gpu, points in spans if points]
    newest = max((end for _began, end, _value in last), default=0.0)
    recent = [value for _began, end, value in last if newest - end <= (seen.ended - seen.began) / 10 + 1]
    return Chart(
        f"gpu-{name.replace('_', '-')}",
        title,
        unit,
        drawn,
        lines,
        path(_means(seen, [points for _gpu, points in spans])),
        _times(sum(recent) / len(recent), factor) if recent else None,
        _times(mean(everything, name), factor),
        _times(most, factor),
    )


def _known(points: Sequence[Point], name: str) -> list[tuple[float, float, float]]:
    return [(point.began, point.ended, getattr(point, name)) for point in points if getattr(point, name) is not None]


def _means(seen: Seen, spans: Sequence[Sequence[tuple[float, float, float]]]) -> list[tuple[float, float, float]]:
    """The mean of all GPUs in equal parts of the time; a part that no point touches is left out."""
    if len(spans) == 1:
        return list(spans[0])
    lengths = [end - began for points in spans for began, end, _value in points]
    if not lengths:
        return []
    width = max(max(lengths), (seen.ended - seen.began) / POINTS_MOST)
    parts: dict[int, list[float]] = {}
    for points in spans:
        for began, end, value in points:
            parts.setdefault(int(((began + end) / 2 - seen.began) // width), []).append(value)
    found = []
    for number, values in sorted(parts.items()):
        began = seen.began + number * width
        found.append((began, min(began + width, seen.ended), sum(values) / len(values)))
    return found


def path_of(
    points: Iterable[tuple[float, float, float]], began: float, ended: float, y_of: Callable[[float], float]
) -> str:
    """Level lines, joined where one follows the other. Coordinates are text: no language's comma in them."""
    length = max(ended - began, 1e-9)
    parts: list[str] = []
    before: float | None = None
    for first, last, value in points:
        x0, x1 = (WIDTH * min(max((time - began) / length, 0.0), 1.0) for time in (first, last))
        joined = before is not None and first - before <= max(last - first, 0.5) * 0.5
        parts.append(f"{'L' if joined else 'M'}{x0:.0f} {y_of(value):.1f}H{x1:.0f}")
        before = last
    return "".join(parts)


def round_top(most: float) -> float:
    """The next 1, 2 or 5 times a power of ten; 100 at least."""
    most = max(most, 100.0)
    power = 10 ** math.floor(math.log10(most))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= most))


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
