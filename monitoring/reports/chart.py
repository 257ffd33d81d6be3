"""A chart of usage by day, as the geometry of an inline SVG: no script, no style attribute.

The SVG is stretched to the width of the page, so it holds no text: the axes' labels stand around it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from monitoring.days import Days
from monitoring.reports.selectors import Line, Usage

SECONDS_AN_HOUR = 3_600
DAYS_DRAWN_SINGLY = 400  # above it a bar would be thinner than two pixels: one bar a month
_SLOT, _BAR = 10, 7  # a bar and its gap, in units of the view box
_HEIGHT = 100
_TOP_AT_LEAST = 72  # GPU-seconds, 0.02 GPU-hours: its half is the least that the labels can say


@dataclass(frozen=True, slots=True)
class Bar:
    """A day, or a month. Coordinates are text: a template would write a number with the language's comma."""

    day: date
    amount: int
    imported: int
    slot_x: str
    x: str
    width: str
    own_y: str
    own_height: str
    imported_y: str
    imported_height: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Usage of one GPU type, GPU-seconds. The axis goes from 0 to `top`."""

    id: str  # unique on a page: the SVG's title and description are found by it
    gpu_type: str
    width: int
    top: int
    bars: list[Bar]
    ticks: list[date]
    by_month: bool
    total: int
    peak: Bar
    has_imported: bool

    @property
    def middle(self) -> int:
        return self.top // 2


def charts_of(usage: Usage) -> list[Chart]:
    """One for each GPU type with usage: hours of different types do not add up."""
    slug = usage.organisation.slug
    return [chart_of(gpu_type, usage.by_day, usage.days, id=f"chart-{slug}-{gpu_type}") for gpu_type in usage.gpu_types]


def chart_of(gpu_type: str, by_day: Mapping[date, Line], days: Days, *, id: str) -> Chart:
    """Every day of the range has its place, so that a day without usage is seen as a gap."""
    by_month = len(days) > DAYS_DRAWN_SINGLY
    sums = {_bucket(day, by_month): [0, 0] for day in days}
    for day, line in by_day.items():
        sums[_bucket(day, by_month)][0] += line.amounts[gpu_type]
        sums[_bucket(day, by_month)][1] += line.imported[gpu_type]
    top = round_top(max(amount for amount, _imported in sums.values()))
    width = min(_BAR, _BAR * len(sums) / 10)  # a few days do not fill the page with a block of colour
    bars = [
        _bar(number, day, amount, imported, top, width) for number, (day, (amount, imported)) in enumerate(sums.items())
    ]
    return Chart(
        id=id,
        gpu_type=gpu_type,
        width=_SLOT * len(bars),
        top=top,
        bars=bars,
        ticks=_ticks([bar.day for bar in bars]),
        by_month=by_month,
        total=sum(bar.amount for bar in bars),
        peak=max(bars, key=lambda bar: bar.amount),
        has_imported=any(bar.imported for bar in bars),
    )


def _bucket(day: date, by_month: bool) -> date:
    return day.replace(day=1) if by_month else day


def _bar(number: int, day: date, amount: int, imported: int, top: int, width: float) -> Bar:
    own_height, imported_height = _HEIGHT * (amount - imported) / top, _HEIGHT * imported / top
    return Bar(
        day=day,
        amount=amount,
        imported=imported,
        slot_x=f"{_SLOT * number}",
        x=f"{_SLOT * number + (_SLOT - width) / 2:.2f}",
        width=f"{width:.2f}",
        own_y=f"{_HEIGHT - own_height - imported_height:.2f}",
        own_height=f"{own_height:.2f}",
        imported_y=f"{_HEIGHT - imported_height:.2f}",
        imported_height=f"{imported_height:.2f}",
    )


def round_top(highest: int) -> int:
    """The next 1, 2 or 5 times a power of ten in GPU-hours, as GPU-seconds; 0.02 GPU-hours at least."""
    highest = max(highest, _TOP_AT_LEAST)
    power = math.floor(math.log10(highest / SECONDS_AN_HOUR))
    tops = (round(step * 10.0**power * SECONDS_AN_HOUR) for step in (1, 2, 5, 10))
    return next((top for top in tops if top >= highest), highest)


def _ticks(days: list[date]) -> list[date]:
    """The first, the middle and the last."""
    return sorted({days[0], days[len(days) // 2], days[-1]}) if len(days) != 2 else days
