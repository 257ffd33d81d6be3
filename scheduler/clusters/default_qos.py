"""Which of a project's allocations a job runs on that names none: plain sbatch takes its association's default QOS."""

from collections.abc import Iterable
from datetime import date

from quotas.allocations.models import Allocation


def is_open(allocation: Allocation, today: date) -> bool:
    """Whether new jobs may start on it today."""
    return allocation.state == Allocation.State.ACTIVE and allocation.starts_on <= today <= allocation.ends_on


def default_of(allocations: Iterable[Allocation], today: date) -> Allocation:
    """Of those of one project and one GPU type: an open one, and of these what ends first."""
    return min(allocations, key=lambda row: (not is_open(row, today), row.ends_on, row.pk))
