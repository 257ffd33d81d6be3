"""Tariffs: two people, from tomorrow on, never changed."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import DatabaseError, IntegrityError, connection, transaction

from portal.clock import centre_date, now
from portal.people.models import User
from quotas.programmes.errors import Invalid, TariffMissing
from quotas.programmes.models import Tariff
from quotas.programmes.selectors import tariff_on, tariffs_on
from quotas.programmes.services import tariff_propose
from quotas.proposals.errors import CannotBeCarriedOut, NotAllowed, SamePerson
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_approve
from tests.quotas import makers

pytestmark = pytest.mark.django_db
CENTRE = ZoneInfo("Asia/Ho_Chi_Minh")


def in_days(days: int) -> date:
    return centre_date(now()) + timedelta(days=days)


def propose(person: User, **changes: object) -> Proposal:
    wanted: dict[str, object] = {
        "gpu_type": "h100",
        "vnd_per_gpu_hour": 60_000,
        "valid_from": in_days(1),
        "reason": "Giá điện",
        "person": person,
    }
    return tariff_propose(**{**wanted, **changes})  # type: ignore[arg-type]


def test_two_people_make_a_tariff(operator: User, approver: User, auditor: User) -> None:
    proposal = propose(operator)
    assert not Tariff.objects.exists()
    with pytest.raises(SamePerson):
        proposal_approve(proposal=proposal, person=operator)
    with pytest.raises(NotAllowed):
        proposal_approve(proposal=proposal, person=auditor)
    proposal_approve(proposal=proposal, person=approver)
    made = Tariff.objects.get()
    assert (made.gpu_type, made.vnd_per_gpu_hour, made.valid_from) == ("h100", 60_000, in_days(1))
    assert made.proposal_id == proposal.pk


def test_the_tariff_of_a_day_is_the_last_that_began() -> None:
    makers.tariff("h100", 60_000)
    makers.tariff("h100", 90_000, valid_from=in_days(10))
    makers.tariff("h100", 75_000, valid_from=in_days(5))  # decided later, begins earlier: the next one stands
    makers.tariff("h200", 80_000, valid_from=in_days(3))
    prices = [tariff_on("h100", in_days(day)).vnd_per_gpu_hour for day in (0, 4, 5, 9, 10, 1_000)]
    assert prices == [60_000, 60_000, 75_000, 75_000, 90_000, 90_000]
    for gpu_type, day in (("h100", -1), ("h200", 2), ("b200", 0)):
        with pytest.raises(TariffMissing):
            tariff_on(gpu_type, in_days(day))
    assert {name: row.vnd_per_gpu_hour for name, row in tariffs_on(in_days(6)).items()} == {
        "h100": 75_000,
        "h200": 80_000,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_type": "H100"},
        {"gpu_type": ""},
        {"vnd_per_gpu_hour": 0},
        {"vnd_per_gpu_hour": 10**9 + 1},
        {"valid_from": date(2020, 1, 1)},
        {"valid_from": date(9999, 12, 31)},
    ],
    ids=str,
)
def test_what_no_tariff_may_say(operator: User, change: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        propose(operator, **change)
    assert refused.value.field == next(iter(change))


def test_the_tariff_of_a_day_that_has_begun_stands(operator: User) -> None:
    makers.tariff("h100", 60_000)
    with pytest.raises(Invalid):
        propose(operator, valid_from=in_days(0))
    makers.tariff("h100", 70_000, valid_from=in_days(2))
    with pytest.raises(Invalid):
        propose(operator, valid_from=in_days(2))


def test_approved_too_late_it_is_refused(operator: User, approver: User) -> None:
    makers.tariff("h100", 60_000)
    proposal = propose(operator, valid_from=in_days(1))
    with time_machine.travel(now() + timedelta(days=1)), pytest.raises(CannotBeCarriedOut):
        proposal_approve(proposal=proposal, person=approver)
    with time_machine.travel(now() + timedelta(days=2)), pytest.raises(CannotBeCarriedOut):
        proposal_approve(proposal=proposal, person=approver)
    assert Tariff.objects.count() == 1


def test_a_day_is_the_centres() -> None:
    """At 23:30 of 31 December in Hà Nội it is still the old year everywhere, at 00:30 only there the new one."""
    with time_machine.travel(datetime(2026, 12, 31, 23, 30, tzinfo=CENTRE)):
        makers.tariff("h100", 60_000)
        makers.tariff("h100", 70_000, valid_from=date(2027, 1, 1))
        assert tariff_on("h100", centre_date(now())).vnd_per_gpu_hour == 60_000
    with time_machine.travel(datetime(2027, 1, 1, 0, 30, tzinfo=CENTRE)):
        assert tariff_on("h100", centre_date(now())).vnd_per_gpu_hour == 70_000


# --- what the database refuses, the web process's role included -------------------------------------------------------


@pytest.mark.parametrize("role", ["", "saola_web", "saola_worker"])
def test_no_tariff_without_its_two_people_and_none_ever_changes(operator: User, approver: User, role: str) -> None:
    tariff = makers.tariff("h100", 60_000)
    waiting = propose(operator, vnd_per_gpu_hour=1)
    decided = makers.tariff("h100", 80_000, valid_from=in_days(9)).proposal
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else TRUNCATE is refused for another reason
        if role:
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role])
            if cursor.fetchone() == (0,):
                pytest.skip("this server is a developer's own: it has no roles")
            cursor.execute(f"SET LOCAL ROLE {role}")

    def write(proposal: Proposal, vnd: int, valid_from: date) -> None:
        with transaction.atomic():
            Tariff.objects.create(
                gpu_type="h100",
                vnd_per_gpu_hour=vnd,
                valid_from=valid_from,
                decided_on=in_days(0),
                proposal=proposal,
            )

    for proposal, vnd, valid_from in (
        (waiting, 1, in_days(1)),
        (decided, 1, in_days(9)),
        (decided, 80_000, in_days(8)),
    ):
        with pytest.raises(IntegrityError, match="tariff_two_people"):
            write(proposal, vnd, valid_from)
    for statement in (
        "UPDATE programmes_tariff SET vnd_per_gpu_hour = 1",
        "DELETE FROM programmes_tariff",
        "TRUNCATE programmes_tariff CASCADE",
    ):
        with (
            pytest.raises(DatabaseError, match=r"refused|permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    tariff.refresh_from_db()
    assert tariff.vnd_per_gpu_hour == 60_000
