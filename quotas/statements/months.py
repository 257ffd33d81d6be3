"""Months of the centre: from midnight to midnight in its time zone, as moments in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from portal.clock import centre_date, centre_zone

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    first: date

    @classmethod
    def of(cls, day: date) -> "Month":
        return cls(day.replace(day=1))

    @classmethod
    def at(cls, moment: datetime) -> "Month":
        """The month in which an aware moment falls at the centre: 17:30 UTC on 31 December is January there."""
        return cls.of(centre_date(moment))

    @classmethod
    def read(cls, text: str) -> "Month":
        """Of YYYY-MM, written so and in no other way. Raises ValueError."""
        if not re.fullmatch(r"(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])", text):
            raise ValueError(f"{text!r} is no month of the form YYYY-MM")
        return cls(date(int(text[:4]), int(text[5:]), 1))

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def next(self) -> "Month":
        return Month.of(self.first + timedelta(days=31))

    @property
    def previous(self) -> "Month":
        return Month.of(self.first - timedelta(days=1))

    @property
    def begins_at(self) -> datetime:
        return datetime.combine(self.first, time(), tzinfo=centre_zone()).astimezone(UTC)

    @property
    def ends_at(self) -> datetime:
        """The first moment that no longer belongs to it."""
        return self.next.begins_at

    @property
    def last_moment(self) -> datetime:
        return self.ends_at - _MICROSECOND
