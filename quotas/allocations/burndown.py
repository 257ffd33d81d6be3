"""A voucher's burn-down as the geometry of an inline SVG: no script, no style attribute, no text inside.

The line is what was awarded less what was used by the end of each day; the dashed line goes on at the average of the
last weeks; the straight one leads from the award to nothing on the last day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from quotas.allocations.models import Voucher
from quotas.allocations.vouchers import Forecast

WIDTH, HEIGHT = 1_000, 100


@dataclass(frozen=True, slots=True)
class Burndown:
    """Coordinates are text: a template would write a number with the language's comma."""

    top_gpu_seconds: int
    used: str  # the points of a polyline
    even: str
    ahead: str  # "" without a forecast
    starts_on: date
    ends_on: date
    today_x: str
    left_gpu_seconds: int  # of what was awarded, today


def burndown_of(voucher: Voucher, used: Mapping[date, int], forecast: Forecast, today: date) -> Burndown:
    days = max((voucher.ends_on - voucher.starts_on).days + 1, 1)
    top = voucher.face_gpu_seconds

    def x(day: date) -> float:
        return WIDTH * min(max((day - voucher.starts_on).days + 1, 0), days) / days

    def y(left: float) -> float:
        return HEIGHT - HEIGHT * min(max(left, 0), top) / top

    left, points = top, [(0.0, y(top))]
    for day, amount in sorted(used.items()):
        if day > today:
            continue
        points.append((x(day - timedelta(days=1)), y(left)))  # flat until that day
        left -= amount
        points.append((x(day), y(left)))
    here = x(min(today, voucher.ends_on))
    points.append((here, y(left)))
    ahead = ""
    if forecast.rate_gpu_seconds_a_day and today < voucher.ends_on:
        days_left = (voucher.ends_on - today).days
        rest = left - forecast.rate_gpu_seconds_a_day * days_left
        if rest < 0:
            empty = today + timedelta(days=left // forecast.rate_gpu_seconds_a_day)
            ahead = _points([(here, y(left)), (x(empty), y(0))])
        else:
            ahead = _points([(here, y(left)), (float(WIDTH), y(rest))])
    return Burndown(
        top_gpu_seconds=top,
        used=_points(points),
        even=_points([(0.0, 0.0), (float(WIDTH), float(HEIGHT))]),
        ahead=ahead,
        starts_on=voucher.starts_on,
        ends_on=voucher.ends_on,
        today_x=f"{here:.1f}",
        left_gpu_seconds=left,
    )


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.2f}" for x, y in points)
