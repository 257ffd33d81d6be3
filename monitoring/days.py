"""Days of the centre, ranges of them, and how a record's GPU-seconds fall on the days it ran."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EARLIEST, LATEST = date(1970, 1, 1), date(2199, 12, 31)  # no cluster's record lies outside

_ONE_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Calendar days of the centre, both ends included. Raises ValueError where the last lies before the first."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("the last day lies before the first")

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def begins_at(self, zone: ZoneInfo) -> datetime:
        return day_begins_at(self.first, zone)

    def ends_at(self, zone: ZoneInfo) -> datetime:
        """The first moment that no longer belongs to it."""
        return day_begins_at(self.last + _ONE_DAY, zone)


def this_month(today: date) -> Days:
    """From the first of the month until today."""
    return Days(today.replace(day=1), today)


def last_30_days(today: date) -> Days:
    """Today is the last of them."""
    return Days(today - 29 * _ONE_DAY, today)


def last_month(today: date) -> Days:
    last = today.replace(day=1) - _ONE_DAY
    return Days(last.replace(day=1), last)


def this_year(today: date) -> Days:
    return Days(today.replace(month=1, day=1), today)


def date_read(text: str) -> date:
    """A date of these centuries written as YYYY-MM-DD and in no other way. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(f"{text!r} is no date of the form YYYY-MM-DD")
    day = date.fromisoformat(text)
    if not EARLIEST <= day <= LATEST:
        raise ValueError(f"{text!r} is before {EARLIEST} or after {LATEST}")
    return day


@lru_cache(maxsize=8_192)  # asked for every run that lasts over a midnight
def day_begins_at(day: date, zone: ZoneInfo) -> datetime:
    """Its midnight in UTC, where differences are real time even on a day when the clocks change."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def gpu_seconds_by_day(
    amount_gpu_seconds: int, started_at: datetime, ended_at: datetime, zone: ZoneInfo
) -> dict[date, int]:
    """Splits what a run was charged over the days it ran, in whole GPU-seconds whose sum is the amount.

    Each day gets the amount's share of the time that the run spent in it: GPUs × seconds of that day, where the charge
    is GPUs × run time. Where it is not (a suspended run, a refund, a correction), what rounding down leaves goes to the
    days with the largest remainders, the earlier one first. A run without a length falls on the day of its end.
    """
    first, last = started_at.astimezone(zone).date(), ended_at.astimezone(zone).date()
    if first >= last:
        return {last: amount_gpu_seconds}
    weights = {}
    for day in Days(first, last):
        begins_at, ends_at = day_begins_at(day, zone), day_begins_at(day + _ONE_DAY, zone)
        weights[day] = (min(ended_at, ends_at) - max(started_at, begins_at)) // _MICROSECOND
    return {day: amount for day, amount in _shares(amount_gpu_seconds, weights).items() if weights[day]}


def _shares(amount: int, weights: dict[date, int]) -> dict[date, int]:
    """Hamilton's method: rounded down, then one more each by the largest remainder."""
    total = sum(weights.values())
    shares = {day: amount * weight // total for day, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda day: (-(amount * weights[day] % total), day))
    for day in by_remainder[: amount - sum(shares.values())]:
        shares[day] += 1
    return shares
