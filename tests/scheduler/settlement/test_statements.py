"""From Slurm's records to a statement: whose jobs they were, in which month they were booked, what they cost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.services import TranchePlan, voucher_award
from quotas.programmes.terms import Terms
from quotas.statements.models import Statement
from quotas.statements.months import Month
from quotas.statements.services import statements_verify
from scheduler.clusters.adapters.protocol import AccountingRecord
from scheduler.clusters.models import Cluster
from scheduler.settlement.services import settle
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import HANOI, STATE, TARIFF_VND, at
from tests.quotas.statements.making import issue

pytestmark = pytest.mark.django_db
DECEMBER, JANUARY = Month.read("2026-12"), Month.read("2027-01")


@pytest.fixture
def allocation(cluster: Cluster, project: Project) -> Allocation:
    """60 H100-hours of a voucher of 100, with their money, in December."""
    with at(2026, 12, 1):
        makers.tariff("h100", TARIFF_VND)
        return voucher_award(
            organisation=project.organisation,
            project=project,
            programme=makers.programme(vnd=10**9, terms=Terms(shares={"startup": STATE})),
            gpu_type="h100",
            amount_gpu_seconds=100 * HOUR,
            cluster="local",
            starts_on=date(2026, 12, 1),
            ends_on=date(2027, 12, 31),
            actor="test",
            tranches=[TranchePlan(60 * HOUR, date(2026, 12, 1)), TranchePlan(40 * HOUR, needs_report=True)],
        )


@pytest.fixture
def ended(record_of: Callable[..., AccountingRecord]) -> Callable[..., AccountingRecord]:
    """A record of an hour on one H100 that ended at this time of the centre: `ended(1, 2026, 12, 31, 23, 30)`."""

    def make(job_id: int, *moment: int, **changed: object) -> AccountingRecord:
        end_at = datetime(*moment, tzinfo=HANOI)  # type: ignore[arg-type,misc]
        return record_of(job_id, elapsed_s=HOUR, submit_at=end_at - timedelta(seconds=HOUR + 5), **changed)

    return make


def people(statement: Statement) -> list[tuple[str, str, int]]:
    """(unix account, name on the day of issue, GPU-seconds) of the annex."""
    content = statement.read()
    names = content["facts"]["people"]
    rows = [row for part in content["compute"] for row in part["people"]]
    return [(row["account"], names.get(row["account"], ""), row["gpu_seconds"]) for row in rows]


def charged(statement: Statement) -> list[tuple[str, str, int]]:
    [part] = statement.read()["compute"]
    kinds = ("charged", "corrected", "refunded")
    return [(line["kind"], line["event_on"], line["gpu_seconds"]) for line in part["lines"] if line["kind"] in kinds]


def test_a_job_that_ended_before_midnight_and_one_after_it_are_of_two_years(
    cluster: Cluster, ended: Callable[..., AccountingRecord], researcher: User, second_researcher: User
) -> None:
    """Midnight in Hanoi is 17:00 in London: by UTC all of them are of the old year."""
    before, after = ended(1, 2026, 12, 31, 23, 30), ended(2, 2027, 1, 1, 0, 30, user="tuan")
    late = ended(3, 2026, 12, 31, 23, 59)
    with at(2026, 12, 31, 23, 59, 59):
        settle(cluster=cluster, records=[before])
    with at(2027, 1, 1, 0, 31):
        settle(cluster=cluster, records=[before, after, late])

    december, january = issue(DECEMBER)["sao-mai"], issue(JANUARY)["sao-mai"]

    assert (december.number, january.number) == ("SK-2026-12-00001", "SK-2027-01-00001")
    assert charged(december) == [("charged", "2026-12-31", -HOUR)]
    # What slurmdbd told after midnight is booked in the new year and says on which day it happened.
    assert charged(january) == [("charged", "2026-12-31", -HOUR), ("charged", "2027-01-01", -HOUR)]
    assert people(december) == [("minh", "Lê Quang Minh", HOUR)]
    assert people(january) == [("minh", "Lê Quang Minh", HOUR), ("tuan", "Phạm Anh Tuấn", HOUR)]
    assert december.summary["money"]["earned"] == -TARIFF_VND
    assert january.summary["money"]["earned"] == -2 * TARIFF_VND
    assert statements_verify().ok


def test_a_record_that_changes_after_its_month_was_closed_stands_on_the_next_statement(
    cluster: Cluster, ended: Callable[..., AccountingRecord], researcher: User
) -> None:
    first = ended(1, 2026, 12, 20, 12, 0)
    with at(2026, 12, 20, 12, 1):
        settle(cluster=cluster, records=[first])
    december = issue(DECEMBER)["sao-mai"]
    issued = december.content
    with at(2027, 1, 10):
        changed = replace(first, elapsed_s=HOUR // 4)
        assert settle(cluster=cluster, records=[changed]).corrected == 1
        assert settle(cluster=cluster, records=[changed]).corrected == 0

    january = issue(JANUARY)["sao-mai"]

    december.refresh_from_db()
    assert december.content == issued
    [(kind, event_on, amount)] = charged(january)
    assert (kind, amount) == ("corrected", 3 * HOUR // 4)
    assert event_on == "2026-12-20"
    assert people(january) == [("minh", "Lê Quang Minh", -3 * HOUR // 4)]
    earned = [row.summary["money"]["earned"] for row in (december, january)]
    assert earned == [-TARIFF_VND, TARIFF_VND - (TARIFF_VND + 2) // 4]  # a quarter of the hour is rounded as a whole
    assert statements_verify().ok
