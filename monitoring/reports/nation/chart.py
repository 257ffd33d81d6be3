"""The quarters beside each other, as bars: what was declared, and what was possible at most."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.reports.chart import SECONDS_AN_HOUR, round_top
from monitoring.reports.models import Publication
from monitoring.reports.throughput import PFLOP_HOURS

QUARTERS = 12
_SLOT, _WIDTH, _HEIGHT = 10, 6, 100


@dataclass(frozen=True, slots=True)
class QuarterBar:
    """Coordinates are text, amounts PFLOP-hours; None where too few organisations stand behind the quarter."""

    quarter: str
    upper: float | None
    slot_x: str
    x: str
    upper_y: str
    upper_height: str
    lower_y: str
    lower_height: str


@dataclass(frozen=True)
class QuartersChart:
    width: int
    top: float  # PFLOP-hours
    bars: list[QuarterBar]


def quarters_chart(published: Sequence[Publication]) -> QuartersChart | None:
    """The newest of them, oldest first. None where there is nothing to draw."""
    rows = [(one.quarter, _ends(one)) for one in reversed(published[:QUARTERS])]
    highest = max((ends[1] for _quarter, ends in rows if ends), default=0)
    if not highest:
        return None
    top = round_top(round(highest * SECONDS_AN_HOUR)) / SECONDS_AN_HOUR
    return QuartersChart(_SLOT * len(rows), top, [_bar(number, row, top) for number, row in enumerate(rows)])


def _ends(one: Publication) -> tuple[float, float] | None:
    total = one.content["total"]
    if not total:
        return None
    bounds = total["fp8_eflop_hours"]
    return bounds["lower"] * PFLOP_HOURS, bounds["upper"] * PFLOP_HOURS


def _bar(number: int, row: tuple[str, tuple[float, float] | None], top: float) -> QuarterBar:
    quarter, ends = row
    lower, upper = (_HEIGHT * end / top for end in ends) if ends else (0.0, 0.0)
    lower = min(lower, upper)
    return QuarterBar(
        quarter,
        ends[1] if ends else None,
        f"{_SLOT * number}",
        f"{_SLOT * number + (_SLOT - _WIDTH) / 2:.2f}",
        f"{_HEIGHT - upper:.2f}",
        f"{upper - lower:.2f}",
        f"{_HEIGHT - lower:.2f}",
        f"{lower:.2f}",
    )
