"""What is earned of a voucher's money: booked at the close, rounded from the total, split into two shares."""

from datetime import date, datetime

import pytest

from portal.people.models import Project
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services import (
    TranchePlan,
    allocation_close,
    correction_book,
    ended_expire,
    refund_book,
    tranches_due_release,
    voucher_award,
    voucher_return,
    withdrawal_confirm,
)
from quotas.allocations.services.money import price_of_voucher
from quotas.ledger.selectors import balances
from quotas.programmes.models import Programme
from quotas.programmes.selectors import budget_of
from quotas.statements.models import Statement
from quotas.statements.services import statements_verify
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import BUDGET_VND, HANOI, TARIFF_VND, at
from tests.quotas.statements.making import NOVEMBER, OCTOBER, issue

pytestmark = pytest.mark.django_db


def vnd(account_id: int | None) -> int:
    assert account_id is not None
    return balances([account_id])[account_id].posted


def money_in(statement: Statement) -> dict[str, int]:
    """The summary's figures that are not 0."""
    return {name: amount for name, amount in statement.summary["money"].items() if amount}


def refund(allocation: Allocation, charge: str, hours: int) -> None:
    refund_book(
        allocation_id=allocation.pk,
        record_charge_id=makers.named(f"charge {charge}"),
        refund_id=makers.named(f"refund {charge}"),
        amount_gpu_seconds=hours * HOUR,
        event_at=makers.NOON,
        reason="node failed",
        actor="test",
    )


def test_what_was_used_is_earned_at_the_close_and_stands_on_that_months_statement(allocation: Allocation) -> None:
    with at(2026, 10, 20):
        makers.charge(allocation, "1", 10 * HOUR + 1)

    assert money_in(issue(OCTOBER)["sao-mai"]) == {
        "released_state": 1_110_989,
        "released_own": 2_222_311,
        "earned": -333_339,  # 333,330 and nine VND for a second
        "earned_state": 111_102,
        "earned_own": 222_237,
        "earned_to_date": 333_339,
        "closing": 3_333_300 - 333_339,
    }
    assert vnd(allocation.voucher.earned_account_id) == 333_339


def test_months_add_up_to_the_face_value_whatever_was_rounded(allocation: Allocation) -> None:
    parts = [1, 10 * HOUR - 1, 7, 33 * HOUR, 3_601]
    months = [OCTOBER]
    for _ in parts:
        months.append(months[-1].next)
    sums = {"earned": 0, "earned_state": 0, "earned_own": 0}
    for number, (month, amount) in enumerate(zip(months, [*parts, 100 * HOUR - sum(parts)], strict=True)):
        with at(month.first.year, month.first.month, 20):
            makers.charge(allocation, str(number), amount)
        money = issue(month)["sao-mai"].summary["money"]
        for name in sums:
            sums[name] += money[name]

    voucher = allocation.voucher
    assert sums["earned"] == -(voucher.face_vnd or 0)
    assert (sums["earned_state"], sums["earned_own"]) == (voucher.state_share_vnd, voucher.own_share_vnd)
    assert money["closing"] == 0
    assert statements_verify().ok


def test_a_refund_in_a_later_month_is_taken_off_again(allocation: Allocation) -> None:
    with at(2026, 10, 20):
        makers.charge(allocation, "1", 10 * HOUR)
    issue(OCTOBER)
    with at(2026, 11, 20):
        refund(allocation, "1", 4)

    money = issue(NOVEMBER)["sao-mai"].summary["money"]

    assert money["earned"] == 4 * TARIFF_VND
    assert money["earned_state"] + money["earned_own"] == -4 * TARIFF_VND
    assert vnd(allocation.voucher.earned_account_id) == 6 * TARIFF_VND


def test_the_centre_bears_the_overrun(allocation: Allocation) -> None:
    with at(2026, 10, 20):
        makers.charge(allocation, "1", 101 * HOUR)
    issue(OCTOBER)
    assert vnd(allocation.voucher.earned_account_id) == allocation.voucher.face_vnd


def correct(allocation: Allocation, charge: str, hours: int) -> None:
    correction_book(
        allocation_id=allocation.pk,
        record_charge_id=makers.named(f"charge {charge}"),
        revision=1,
        difference_gpu_seconds=hours * HOUR,
        event_at=datetime(2026, 11, 10, tzinfo=HANOI),
        reason="the record changed",
        actor="test",
    )


def test_a_vouchers_money_from_its_tranches_to_its_last_dong(project: Project, programme: Programme) -> None:
    """Two tranches, charges, a refund, a correction after its month was closed, a return, and the voucher's end."""
    with at(2026, 10, 5):
        allocation = voucher_award(
            organisation=project.organisation,
            project=project,
            programme=programme,
            gpu_type="h100",
            amount_gpu_seconds=100 * HOUR,
            cluster="local",
            starts_on=date(2026, 10, 5),
            ends_on=date(2026, 12, 31),
            actor="test",
            tranches=[TranchePlan(60 * HOUR, date(2026, 10, 5)), TranchePlan(40 * HOUR, date(2026, 11, 3))],
        )
    with at(2026, 10, 20):
        makers.charge(allocation, "1", 10 * HOUR)
    with at(2026, 10, 31):
        assert tranches_due_release(actor="test") == 0
    october = money_in(issue(OCTOBER)["sao-mai"])
    with at(2026, 11, 3):
        assert tranches_due_release(actor="test") == 1
    with at(2026, 11, 10):
        makers.charge(allocation, "2", 20 * HOUR)
        refund(allocation, "1", 4)
    november = money_in(issue(NOVEMBER)["sao-mai"])
    with at(2026, 12, 5):
        correct(allocation, "2", -2)
        allocation_close(allocation_id=allocation.pk, reason="done", actor="test")
        for row in Withdrawal.objects.filter(state="requested"):
            withdrawal_confirm(withdrawal_id=row.pk, event_at=makers.NOON, actor="test")
        voucher_return(voucher_id=allocation.voucher_id, amount_gpu_seconds=76 * HOUR, reason="done", actor="test")
    december = money_in(issue(NOVEMBER.next)["sao-mai"])
    with at(2027, 1, 5):
        ended_expire(actor="test")
    january = money_in(issue(NOVEMBER.next.next)["sao-mai"])

    assert october == {
        "released_state": 666_593, "released_own": 1_333_387, "closing": 1_666_650,
        "earned": -333_330, "earned_state": 111_099, "earned_own": 222_231, "earned_to_date": 333_330,
    }  # fmt: skip
    assert november == {
        "opening": 1_666_650, "released_state": 444_396, "released_own": 888_924, "closing": 2_466_642,
        "earned": -533_328, "earned_state": 177_758, "earned_own": 355_570, "earned_to_date": 866_658,
    }  # fmt: skip
    # The correction stands in the month that learned of it, and takes off again what was earned too much.
    assert december == {
        "opening": 2_466_642, "returned_state": -777_686, "returned_own": -1_688_956, "closing": 66_666,
        "earned": 66_666, "earned_state": -22_220, "earned_own": -44_446, "earned_to_date": 799_992,
    }  # fmt: skip
    assert january == {"opening": 66_666, "returned_state": -66_666, "earned_to_date": 799_992}
    state, own = price_of_voucher(allocation.voucher).shares(24 * HOUR)
    assert budget_of(programme).free_vnd == BUDGET_VND - state
    assert vnd(allocation.voucher.contribution_account_id) == -own
    assert vnd(allocation.voucher.money_account_id) == 0
    assert statements_verify().ok
