"""Who used what: known only to the app that reads Slurm's records, which stands above this one and says so at start.

from quotas.statements.registry import consumption
consumption.by_person = consumed_by_user        # in AppConfig.ready()
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

# (consumed accounts, begins_at, ends_at) → net GPU-seconds booked in that time, by (consumed account, unix account)
ByPerson = Callable[[Collection[int], datetime, datetime], Mapping[tuple[int, str], int]]


def _nobody(accounts: Collection[int], begins_at: datetime, ends_at: datetime) -> Mapping[tuple[int, str], int]:
    return {}


@dataclass
class Consumption:
    by_person: ByPerson = _nobody


consumption = Consumption()
