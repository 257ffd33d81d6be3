"""Quarters of a year: for what the nation's figures are made public. They do not overlap, so that no two publications
differ by a part of themselves."""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from monitoring.days import Days

SETTLED_AFTER = timedelta(days=15)  # of its end: by then late records and measurements are in


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"

    @classmethod
    def of(cls, day: date) -> "Quarter":
        return cls(day.year, (day.month + 2) // 3)

    @classmethod
    def read(cls, text: str) -> "Quarter":
        """Raises ValueError."""
        found = re.fullmatch(r"([0-9]{4})-Q([1-4])", text)
        if found is None:
            raise ValueError(text)
        return cls(int(found[1]), int(found[2]))

    @property
    def days(self) -> Days:
        return Days(date(self.year, 3 * self.number - 2, 1), self.next.first - timedelta(days=1))

    @property
    def first(self) -> date:
        return date(self.year, 3 * self.number - 2, 1)

    @property
    def next(self) -> "Quarter":
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    def is_settled(self, today: date) -> bool:
        return today >= self.next.first + SETTLED_AFTER
