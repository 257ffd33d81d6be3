"""What was booked in a month stands on that month's statement, by the centre's clock, whenever it happened."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from portal.outbox.models import Message
from portal.people.models import Organisation, Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.services import correction_book, refund_book
from quotas.ledger.errors import PeriodClosed
from quotas.ledger.selectors import closed_until
from quotas.programmes.models import Programme
from quotas.statements import compiling
from quotas.statements.books import Accounts
from quotas.statements.errors import DoesNotAddUp, MonthNotOver
from quotas.statements.figures import figures_of
from quotas.statements.models import Period, Statement
from quotas.statements.months import Month
from quotas.statements.services import issuing, last_month_issue, periods_close, statements_issue, statements_verify
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import HANOI, at
from tests.quotas.statements.making import NOVEMBER, OCTOBER, SEPTEMBER, awards_of_others, issue, time_after

pytestmark = pytest.mark.django_db


def total(statement: Statement, gpu_type: str = "h100") -> dict[str, int]:
    return {name: amount for name, amount in statement.summary["compute"][gpu_type].items() if amount}


def test_a_month_begins_and_ends_at_midnight_of_the_centre() -> None:
    assert OCTOBER.begins_at == datetime(2026, 9, 30, 17, 0, tzinfo=UTC)
    assert OCTOBER.ends_at == datetime(2026, 10, 31, 17, 0, tzinfo=UTC)
    december = Month.at(datetime(2026, 12, 31, 16, 59, tzinfo=UTC))
    assert (str(december), str(december.next)) == ("2026-12", "2027-01")
    assert Month.at(datetime(2026, 12, 31, 17, 0, tzinfo=UTC)) == december.next


def test_a_month_from_award_to_charge(allocation: Allocation, project: Project) -> None:
    with at(2026, 10, 20):
        makers.charge(allocation, "1", 10 * HOUR, hold_id=makers.hold(allocation, "1", 12 * HOUR))
        refund_book(
            allocation_id=allocation.pk,
            record_charge_id=makers.named("charge 1"),
            refund_id=makers.named("refund"),
            amount_gpu_seconds=4 * HOUR,
            event_at=datetime(2026, 10, 20, tzinfo=HANOI),
            reason="node failed",
            actor="test",
        )
        makers.hold(allocation, "2", 3 * HOUR)

    statement = issue(OCTOBER)["sao-mai"]

    assert statement.number == "SK-2026-10-00001"
    assert total(statement) == {
        "awarded": 100 * HOUR, "charged": -10 * HOUR, "refunded": 4 * HOUR, "closing": 94 * HOUR
    }  # fmt: skip
    [part] = statement.read()["compute"]
    assert part["held_at_end"] == 3 * HOUR
    assert [(line["kind"], line["event_on"], line["reason"]) for line in part["lines"]] == [
        ("charged", "2026-06-01", ""),  # makers' jobs run in June: it came late, and says so
        ("awarded", "2026-10-05", f"award of voucher {allocation.voucher_id}"),
        ("moved", "2026-10-05", ""),
        ("moved", "2026-10-05", ""),
        ("refunded", "2026-10-20", "refund: node failed"),
    ]
    assert [place["project"] for place in part["places"]] == [None, project.slug]


def test_the_next_month_opens_where_the_last_one_closed_and_late_records_appear_there(allocation: Allocation) -> None:
    october = issue(OCTOBER)["sao-mai"]
    with at(2026, 11, 3):  # it ran on 1 June
        makers.charge(allocation, "late", 5 * HOUR)

    november = issue(NOVEMBER)["sao-mai"]

    assert total(november) == {"opening": total(october)["closing"], "charged": -5 * HOUR, "closing": 95 * HOUR}
    assert november.number == "SK-2026-11-00002"
    assert november.read()["compute"][0]["lines"][0]["event_on"] == "2026-06-01"


def test_a_second_to_midnight_and_midnight_are_two_months_and_two_years(project: Project, programme: Programme) -> None:
    """The turn of the year at UTC+7: 17:00 on 31 December in London."""
    with at(2026, 12, 31, 23, 59, 59):
        allocation = makers.award(project, programme)
    with at(2027, 1, 1, 0, 0, 0):
        makers.charge(allocation, "new year", HOUR)

    december, january = issue(Month.read("2026-12"))["sao-mai"], issue(Month.read("2027-01"))["sao-mai"]

    assert total(december) == {"awarded": 100 * HOUR, "closing": 100 * HOUR}
    assert total(january) == {"opening": 100 * HOUR, "charged": -HOUR, "closing": 99 * HOUR}
    assert (december.number, january.number) == ("SK-2026-12-00001", "SK-2027-01-00001")
    assert december.period.ends_at == datetime(2026, 12, 31, 17, 0, tzinfo=UTC)


def test_corrections_and_overrun_stand_apart(project: Project, programme: Programme) -> None:
    with at(2026, 10, 5):
        allocation = makers.award(project, programme, gpu_seconds=10 * HOUR)
        makers.charge(allocation, "1", 12 * HOUR)  # two hours more than there is: the centre bears them
    with at(2026, 10, 6):
        for revision, difference in ((1, -3 * HOUR), (2, HOUR)):
            correction_book(
                allocation_id=allocation.pk,
                record_charge_id=makers.named("charge 1"),
                revision=revision,
                difference_gpu_seconds=difference,
                event_at=makers.NOON,
                reason="changed",
                actor="test",
            )

    statement = issue(OCTOBER)["sao-mai"]

    assert total(statement) == {"awarded": 10 * HOUR, "charged": -12 * HOUR, "corrected": 2 * HOUR}


def test_the_last_months_statements_come_on_the_second_day_and_once(
    allocation: Allocation, organisation_manager: User
) -> None:
    with at(2026, 11, 1, 23, 59, 59):
        assert last_month_issue(actor="test") == []
    with at(2026, 11, 2, 0, 0, 0):
        [statement] = last_month_issue(actor="test")
        assert last_month_issue(actor="test") == []

    assert str(Month.of(statement.period.month)) == "2026-10"
    assert [str(Month.of(row.month)) for row in Period.objects.order_by("month")] == ["2026-09", "2026-10"]
    assert Message.objects.filter(topic="statements.files").count() == 1


def test_a_closed_month_takes_nothing_more(allocation: Allocation) -> None:
    issue(OCTOBER)

    assert closed_until() == OCTOBER.ends_at
    with at(2026, 10, 31, 23, 59, 59), pytest.raises(PeriodClosed):  # a clock that went back
        makers.charge(allocation, "1", HOUR)
    with at(2026, 11, 1, 0, 0, 0):
        makers.charge(allocation, "1", HOUR)


def test_a_month_that_is_not_over_is_not_closed(allocation: Allocation) -> None:
    with at(2026, 10, 31, 23, 59, 59), pytest.raises(MonthNotOver):
        periods_close(month=OCTOBER, actor="test")
    with at(2026, 11, 1, 0, 0, 0):
        closed = periods_close(month=OCTOBER, actor="test")
    assert [row.month.month for row in closed] == [9, 10]


def test_an_organisation_without_vouchers_gets_none(allocation: Allocation, other_organisation: Organisation) -> None:
    assert issue(OCTOBER).keys() == {"sao-mai"}
    assert issue(SEPTEMBER) == {}


def test_numbers_have_no_gap_even_where_issuing_broke_off(
    project: Project, other_project: Project, programme: Programme
) -> None:
    with at(2026, 10, 5):
        makers.award(project, programme)
        makers.award(other_project, programme)
    with time_after(OCTOBER):
        [_september, period] = periods_close(month=OCTOBER, actor="test")
        with transaction.atomic():
            statements_issue(period=period, actor="test")
            transaction.set_rollback(True)  # the worker died
        issued = statements_issue(period=period, actor="test")

    assert [row.number for row in issued] == ["SK-2026-10-00001", "SK-2026-10-00002"]


def test_issuing_asks_the_same_for_three_organisations_and_for_thirty(programme: Programme) -> None:
    def queries(month: Month) -> int:
        with time_after(month):
            [*_before, period] = periods_close(month=month, actor="test")
            with CaptureQueriesContext(connection) as asked:
                statements_issue(period=period, actor="test")
        return len(asked)

    def charged(allocations: list[Allocation], gpu_seconds: int) -> None:
        for allocation in allocations:
            makers.charge(allocation, f"{allocation.pk} {gpu_seconds}", gpu_seconds)

    with at(2026, 10, 5):
        awarded = awards_of_others(programme, 2)
    queries(OCTOBER)  # the first of its year begins the numbers
    with at(2026, 11, 5):
        awarded += awards_of_others(programme, 1)
        charged(awarded, HOUR // 2)
    few = queries(NOVEMBER)
    with at(2026, 12, 5):
        charged([*awarded, *awards_of_others(programme, 27)], HOUR // 4)
    assert queries(NOVEMBER.next) == few
    assert Statement.objects.filter(period__month=NOVEMBER.next.first).count() == 30


def test_what_adds_up_is_issued_before_one_that_does_not_in_lots_and_with_numbers_that_follow(
    programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "ORGANISATIONS_AT_ONCE", 2)
    with at(2026, 10, 5):
        awarded = awards_of_others(programme, 5)
    broken = awarded[3].voucher

    def figures(accounts: Accounts, *given: Any) -> dict[str, Any]:
        if broken in accounts.vouchers:
            raise DoesNotAddUp(str(broken))
        return figures_of(accounts, *given)

    with time_after(OCTOBER):
        [*_september, period] = periods_close(month=OCTOBER, actor="test")
        with monkeypatch.context() as context:
            context.setattr(compiling, "figures_of", figures)
            with pytest.raises(DoesNotAddUp):
                statements_issue(period=period, actor="test")
        assert Statement.objects.count() == 3
        statements_issue(period=period, actor="test")

    rows = Statement.objects.order_by("sequence").values_list("number", "organisation__slug")
    assert list(rows) == [(f"SK-2026-10-0000{number + 1}", f"to-chuc-{number}") for number in range(5)]
    assert statements_verify().ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE statements_statement SET sha256 = ''",
        "DELETE FROM statements_statement",
        "TRUNCATE statements_statement CASCADE",
        "DELETE FROM statements_period",
        "UPDATE statements_period SET closed_by = 'somebody else'",
        "UPDATE statements_statementfile SET content = ''",
        "DELETE FROM statements_statementfile",
    ],
)
def test_the_database_refuses_to_change_what_was_issued(allocation: Allocation, statement: str) -> None:
    """Even the owner of the tables."""
    issue(OCTOBER)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(Exception, match="is refused"):
            cursor.execute(statement)


def test_the_database_refuses_a_number_that_leaves_a_gap(allocation: Allocation) -> None:
    row = issue(OCTOBER)["sao-mai"]
    row.pk, row.number, row.sequence, row.corrects_id = None, "SK-2026-10-00003", 3, row.pk
    with pytest.raises(Exception, match="leaves a gap"):
        row.save(force_insert=True)


def test_a_transfer_between_the_closing_and_the_issue_changes_nothing(allocation: Allocation) -> None:
    with time_after(OCTOBER):
        periods_close(month=OCTOBER, actor="test")
    with at(2026, 11, 2, 13):
        makers.charge(allocation, "1", HOUR)
    assert total(issue(OCTOBER)["sao-mai"]) == {"awarded": 100 * HOUR, "closing": 100 * HOUR}


@pytest.mark.parametrize("role", ["saola_web", "saola_worker"])
def test_closing_and_issuing_need_no_more_than_a_process_has(allocation: Allocation, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() == (0,):
            pytest.skip("this server is a developer's own: it has no roles")
        cursor.execute(f"SET LOCAL ROLE {role}")
    assert issue(OCTOBER).keys() == {"sao-mai"}
