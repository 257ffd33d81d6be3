from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from tests.quotas import makers

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
At = Callable[..., time_machine.travel]


def at(year: int, month: int, day: int, hour: int = 12, minute: int = 0, second: int = 0) -> time_machine.travel:
    """The application's clock stands at this time of the centre: `with at(2026, 10, 5): …`."""
    return time_machine.travel(datetime(year, month, day, hour, minute, second, tzinfo=HANOI), tick=False)


@pytest.fixture
def programme(db: None) -> Programme:
    with at(2026, 9, 1):
        return makers.programme(h200_hours=100)


@pytest.fixture
def allocation(project: Project, programme: Programme) -> Allocation:
    """100 H100-hours for Sao Mai AI's project, awarded in October 2026."""
    with at(2026, 10, 5):
        return makers.award(project, programme)
