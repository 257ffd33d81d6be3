"""What is earned of a voucher's money: booked at the close, rounded from the total, split into two shares."""

from dataclasses import dataclass
from uuid import uuid4

import pytest

from portal.people.models import Project
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.services import refund_book
from quotas.ledger.models import Account
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, transfers_book
from quotas.programmes.models import Programme
from quotas.statements import books, figures
from quotas.statements.money import VoucherMoney
from quotas.statements.services import closing, statements_verify
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import NOVEMBER, OCTOBER, issue

pytestmark = pytest.mark.django_db
TARIFF, STATE = 33_333, 3_333  # VND per GPU-hour, basis points: nothing divides evenly


@dataclass
class Purse:
    allocation: Allocation
    money: VoucherMoney
    face_vnd: int


@pytest.fixture
def purse(project: Project, programme: Programme, monkeypatch: pytest.MonkeyPatch) -> Purse:
    """100 H100-hours and their money, released in October."""

    def account(kind: Account.Kind) -> Account:
        return account_create(unit="vnd", kind=kind, owner="t", may_overdraw=kind in ("source", "contribution"))

    kinds = Account.Kind
    source, budget, contribution, money, earned = map(
        account, (kinds.SOURCE, kinds.BUDGET, kinds.CONTRIBUTION, kinds.VOUCHER_MONEY, kinds.EARNED)
    )
    known = VoucherMoney(money.pk, earned.pk, TARIFF, STATE)
    face = known.earned_vnd(100 * HOUR)
    state = known.state_part_vnd(face)
    with at(2026, 10, 5):
        allocation = makers.award(project, programme)
        steps = [(source, budget, state), (budget, money, state), (contribution, money, face - state)]
        transfers_book(
            entries=[
                Entry.direct(
                    id=uuid4(), debit=debit, credit=credit, amount=amount, reason="release", event_at=makers.NOON
                )
                for debit, credit, amount in steps
            ],
            booked_at=allocation.created_at,
            actor="test",
        )

    def of(voucher: Voucher) -> VoucherMoney | None:
        return known if voucher.pk == allocation.voucher_id else None

    for module in (books, figures, closing):
        monkeypatch.setattr(module, "voucher_money", of)
    return Purse(allocation, known, face)


def earned(purse: Purse) -> int:
    return balances([purse.money.earned_account])[purse.money.earned_account].posted


def test_what_was_used_is_earned_at_the_close_and_stands_on_that_months_statement(purse: Purse) -> None:
    with at(2026, 10, 20):
        makers.charge(purse.allocation, "1", 10 * HOUR + 1)

    money = issue(OCTOBER)["sao-mai"].summary["money"]

    assert earned(purse) == 333_339  # 333,330 and nine VND for a second
    assert money["earned"] == -333_339
    assert (money["earned_state"], money["earned_own"]) == (111_102, 222_237)
    assert money["opening"] == 0
    assert money["released_state"] + money["released_own"] == purse.face_vnd == 3_333_300
    assert money["closing"] == purse.face_vnd - 333_339


def test_months_add_up_to_the_face_value_whatever_was_rounded(purse: Purse) -> None:
    parts = [1, 10 * HOUR - 1, 7, 33 * HOUR, 3_601]
    months = [OCTOBER]
    for _ in parts:
        months.append(months[-1].next)
    sums = {"earned": 0, "earned_state": 0, "earned_own": 0}
    for number, (month, amount) in enumerate(zip(months, [*parts, 100 * HOUR - sum(parts)], strict=True)):
        with at(month.first.year, month.first.month, 20):
            makers.charge(purse.allocation, str(number), amount)
        money = issue(month)["sao-mai"].summary["money"]
        for name in sums:
            sums[name] += money[name]

    assert sums["earned"] == -purse.face_vnd
    assert sums["earned_state"] == purse.money.state_part_vnd(purse.face_vnd)
    assert sums["earned_state"] + sums["earned_own"] == purse.face_vnd
    assert money["closing"] == 0
    assert statements_verify().ok


def test_a_refund_in_a_later_month_is_taken_off_again(purse: Purse) -> None:
    with at(2026, 10, 20):
        makers.charge(purse.allocation, "1", 10 * HOUR)
    issue(OCTOBER)
    with at(2026, 11, 20):
        refund_book(
            allocation_id=purse.allocation.pk,
            record_charge_id=makers.named("charge 1"),
            refund_id=makers.named("refund"),
            amount_gpu_seconds=4 * HOUR,
            event_at=makers.NOON,
            reason="node failed",
            actor="test",
        )

    money = issue(NOVEMBER)["sao-mai"].summary["money"]

    assert money["earned"] == 4 * TARIFF
    assert money["earned_state"] + money["earned_own"] == -4 * TARIFF
    assert earned(purse) == 6 * TARIFF


def test_the_centre_bears_the_overrun(purse: Purse) -> None:
    with at(2026, 10, 20):
        makers.charge(purse.allocation, "1", 101 * HOUR)
    issue(OCTOBER)
    assert earned(purse) == purse.face_vnd
