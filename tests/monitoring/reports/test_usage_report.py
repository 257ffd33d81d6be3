"""What the figures say: from the selectors and from the command."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from monitoring.days import Days
from monitoring.reports.selectors import usage_report
from portal.clock import centre_date, now
from portal.people.models import Organisation, Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.services import refund_book, withdrawal_confirm, withdrawal_request
from quotas.programmes.models import Programme
from tests import factories
from tests.monitoring.conftest import RunOf, hanoi
from tests.quotas import makers

HOUR = makers.HOUR
JUNE = Days(date(2026, 6, 1), date(2026, 6, 30))
EVER = Days(date(2020, 1, 1), date(2026, 12, 31))


def test_usage_is_told_by_project_person_and_day(
    organisation: Organisation,
    project: Project,
    researcher: User,
    allocation: Allocation,
    programme: Programme,
    run_of: RunOf,
) -> None:
    second = factories.project("Ảnh y tế", "anh-y-te", of=organisation)
    elsewhere = makers.award(second, programme, gpu_seconds=10 * HOUR, gpu_type="h200")
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00", gpus=2)
    run_of(allocation, "2026-06-05 10:00", "2026-06-05 11:00", user="hoa")
    run_of(elsewhere, "2026-06-05 10:00", "2026-06-05 12:00")
    usage = usage_report(organisation, JUNE)
    assert {slug: line.amounts for slug, line in usage.by_project.items()} == {
        "mo-hinh-tieng-viet": {"h100": 5 * HOUR},
        "anh-y-te": {"h200": 2 * HOUR},
    }
    assert {name: line.amounts for name, line in usage.by_person.items()} == {
        "minh": {"h100": 4 * HOUR, "h200": 2 * HOUR},
        "hoa": {"h100": HOUR},
    }
    assert {day: line.amounts for day, line in usage.by_day.items()} == {
        date(2026, 6, 1): {"h100": 2 * HOUR},
        date(2026, 6, 2): {"h100": 2 * HOUR},
        date(2026, 6, 5): {"h100": HOUR, "h200": 2 * HOUR},
    }
    assert usage.by_person["minh"].name == "Lê Quang Minh"
    assert usage.by_project["anh-y-te"].name == "Ảnh y tế"
    assert usage.gpu_types == ["h100", "h200"]


def test_both_ends_of_the_range_are_included_and_nothing_beyond(
    organisation: Organisation, allocation: Allocation, run_of: RunOf
) -> None:
    run_of(allocation, "2026-05-31 23:00", "2026-06-01 02:00")  # two hours inside
    run_of(allocation, "2026-06-30 23:00", "2026-07-01 05:00")  # one hour inside
    run_of(allocation, "2026-05-31 10:00", "2026-06-01 00:00")
    run_of(allocation, "2026-07-01 00:00", "2026-07-01 01:00")
    usage = usage_report(organisation, JUNE)
    assert usage.total.amounts == {"h100": 3 * HOUR}
    assert list(usage.by_day) == [JUNE.first, JUNE.last]


def test_the_day_is_the_centres_day(organisation: Organisation, allocation: Allocation, run_of: RunOf) -> None:
    """00:30 in Hanoi is still yesterday in UTC."""
    run_of(allocation, "2026-06-10 00:30", "2026-06-10 01:30")
    assert list(usage_report(organisation, JUNE).by_day) == [date(2026, 6, 10)]


def test_over_everything_the_usage_is_what_the_ledger_has_as_consumed(
    organisation: Organisation, project: Project, programme: Programme, run_of: RunOf
) -> None:
    """Overrun and a refund included."""
    small = makers.award(project, programme, gpu_seconds=HOUR)
    first = run_of(small, "2026-06-01 22:00", "2026-06-02 03:00", gpus=3)
    run_of(small, "2026-06-03 08:00", "2026-06-03 08:01", gpus=7)
    refund_book(
        allocation_id=small.pk,
        record_charge_id=first.charge,
        refund_id=UUID(int=99),
        amount_gpu_seconds=1_001,
        event_at=hanoi("2026-06-04 09:00"),
        reason="the node failed",
        actor="test",
    )
    usage = usage_report(organisation, EVER)
    balance = usage.balances["h100"]
    assert balance.overrun > 0
    assert balance.consumed == 15 * HOUR + 420 - 1_001
    for lines in ([usage.total], usage.by_project.values(), usage.by_person.values(), usage.by_day.values()):
        assert sum(line.amounts["h100"] for line in lines) == balance.consumed


def test_the_balance_is_that_of_now_whatever_the_days(
    organisation: Organisation, allocation: Allocation, run_of: RunOf
) -> None:
    run_of(allocation, "2026-06-01 10:00", "2026-06-01 11:00")
    makers.hold(allocation, "waits", 5 * HOUR)
    long_ago = usage_report(organisation, Days(date(2020, 1, 1), date(2020, 1, 31)))
    assert long_ago.balances == usage_report(organisation, JUNE).balances
    assert (long_ago.balances["h100"].consumed, long_ago.balances["h100"].held) == (HOUR, 5 * HOUR)
    assert not long_ago.by_day


def test_remaining_includes_what_a_voucher_has_not_yet_given_to_a_project(
    organisation: Organisation, allocation: Allocation
) -> None:
    (withdrawal,) = withdrawal_request(
        allocation_id=allocation.pk, kind="return", amount_gpu_seconds=HOUR, reason="", event_at=now(), actor="test"
    )
    assert usage_report(organisation, JUNE).balances["h100"].withdrawals_pending == HOUR
    withdrawal_confirm(withdrawal_id=withdrawal.pk, event_at=now(), actor="test")
    assert makers.balance(allocation).remaining == 99_999 * HOUR
    balance = usage_report(organisation, JUNE).balances["h100"]
    assert (balance.granted, balance.remaining, balance.withdrawals_pending) == (100_000 * HOUR, 100_000 * HOUR, 0)


def test_imported_history_is_counted_and_told_apart(
    organisation: Organisation, researcher: User, allocation: Allocation, run_of: RunOf
) -> None:
    run_of(allocation, "2026-06-01 10:00", "2026-06-01 11:00", imported=True, user="tuan")
    run_of(allocation, "2026-06-01 10:00", "2026-06-01 12:00")
    usage = usage_report(organisation, JUNE)
    assert usage.total.amounts == {"h100": 3 * HOUR}
    assert usage.total.imported == usage.imported_gpu_seconds == {"h100": HOUR}
    assert usage.by_person["minh"].imported.total() == 0


def test_nobody_is_named_for_imported_history(
    organisation: Organisation, researcher: User, allocation: Allocation, run_of: RunOf
) -> None:
    """Who had the name "minh" before the portal is not known."""
    run_of(allocation, "2026-06-01 10:00", "2026-06-01 11:00", imported=True, user="minh")
    assert usage_report(organisation, JUNE).by_person["minh"].name == ""


def test_another_organisation_is_not_in_it(
    organisation: Organisation,
    allocation: Allocation,
    other_organisation: Organisation,
    other_project: Project,
    programme: Programme,
    run_of: RunOf,
) -> None:
    theirs = makers.award(other_project, programme, gpu_seconds=50 * HOUR)
    run_of(theirs, "2026-06-01 10:00", "2026-06-01 11:00")
    assert not usage_report(organisation, JUNE).by_project
    assert list(usage_report(other_organisation, JUNE).by_project) == ["anh-ve-tinh"]


Queries = Callable[[int], AbstractContextManager[object]]


@pytest.mark.parametrize("allocations", [3, 30])
def test_the_number_of_queries_does_not_grow(
    allocations: int,
    organisation: Organisation,
    project: Project,
    programme: Programme,
    run_of: RunOf,
    django_assert_num_queries: Queries,
) -> None:
    for number in range(allocations):
        one = makers.award(project, programme, gpu_seconds=HOUR)
        run_of(one, "2026-06-01 23:30", "2026-06-02 00:30", user=f"person{number}")
    with django_assert_num_queries(12):  # ten reads, and the savepoint that a test makes of the transaction
        usage = usage_report(organisation, JUNE)
    assert len(usage.by_person) == allocations


# --- the command --------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], organisation: str, first: str, last: str) -> dict[str, dict[str, object]]:
    call_command("usage_report", "--organisation", organisation, "--from", first, "--to", last, "--json")
    printed: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return printed


def test_the_command_prints_gpu_seconds_by_type(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00", gpus=2)
    printed = run(capsys, "sao-mai", "2026-06-01", "2026-06-01")
    assert printed["granted"] == {"h100": 100_000 * HOUR}
    assert printed["consumed"] == {"h100": 4 * HOUR}
    assert printed["remaining"] == {"h100": 100_000 * HOUR - 4 * HOUR}
    assert printed["overrun"] == printed["held"] == printed["expired"] == {"h100": 0}
    assert printed["by_project"] == {"mo-hinh-tieng-viet": {"h100": 2 * HOUR}}
    assert printed["by_person"] == {"minh": {"h100": 2 * HOUR}}
    assert printed["by_day"] == {"2026-06-01": {"h100": 2 * HOUR}}


def test_the_command_says_nothing_of_an_organisation_without_awards(
    organisation: Organisation, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(capsys, "sao-mai", "2026-06-01", "2026-06-30")
    assert printed["granted"] == printed["by_day"] == {}


@pytest.mark.parametrize(
    ("organisation_slug", "first", "last", "message"),
    [
        ("no-such", "2026-06-01", "2026-06-30", "no organisation 'no-such'"),
        ("sao-mai", "2026-06-30", "2026-06-01", "--to 2026-06-01 lies before --from 2026-06-30"),
        ("sao-mai", "30/06/2026", "2026-06-30", "--from: '30/06/2026' is no date"),
        ("sao-mai", "2026-06-01", "2026-06-31", "--to: '2026-06-31' is no date"),
        ("sao-mai", "2026-06-01", "9999-12-31", "--to: '9999-12-31' is no date"),
    ],
)
def test_the_command_says_what_is_wrong(
    organisation: Organisation, organisation_slug: str, first: str, last: str, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("usage_report", "--organisation", organisation_slug, "--from", first, "--to", last)


def test_a_run_that_just_ended_is_in_todays_report(
    organisation: Organisation, allocation: Allocation, run_of: RunOf
) -> None:
    today = centre_date(now())
    started, ended = f"{today} 00:00:00", f"{today} 00:00:10"
    run_of(allocation, started, ended)
    usage = usage_report(organisation, Days(today, today))
    assert usage.by_day[today].amounts == {"h100": 10}
    assert usage.as_of - now() < timedelta(seconds=5)
