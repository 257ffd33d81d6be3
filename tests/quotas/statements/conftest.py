from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from quotas.programmes.terms import Terms
from tests.quotas import makers

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
At = Callable[..., time_machine.travel]


def at(year: int, month: int, day: int, hour: int = 12, minute: int = 0, second: int = 0) -> time_machine.travel:
    """The application's clock stands at this time of the centre: `with at(2026, 10, 5): …`."""
    return time_machine.travel(datetime(year, month, day, hour, minute, second, tzinfo=HANOI), tick=False)


BUDGET_VND = 1_000_000_000
TARIFF_VND, STATE = 33_333, 3_333  # an hour of H100, and the state's basis points of it: nothing divides evenly


@pytest.fixture
def programme(db: None) -> Programme:
    """1,000 H100-hours, 100 H200-hours and their money."""
    with at(2026, 9, 1):
        makers.tariff("h100", TARIFF_VND)
        makers.tariff("h200", 2 * TARIFF_VND + 1)
        return makers.programme(h200_hours=100, vnd=BUDGET_VND, terms=Terms(shares={**makers.SHARES, "startup": STATE}))


@pytest.fixture
def untypeset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The PDF, a second of a process of its own each, is a few bytes. `test_formats` reads the real one."""
    monkeypatch.setattr("quotas.statements.services.files.pdf_of", lambda _document: b"%PDF-1.7 not typeset")


@pytest.fixture
def allocation(project: Project, programme: Programme) -> Allocation:
    """100 H100-hours and 3,333,300 VND for Sao Mai AI's project, awarded in October 2026."""
    with at(2026, 10, 5):
        return makers.award(project, programme)
