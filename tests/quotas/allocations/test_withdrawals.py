"""Withdrawals: reserved first, lowered in Slurm, read back, and only then somebody else's."""

import pytest

from quotas.allocations.errors import BalanceTooSmall, OtherVoucher, WrongState
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.selectors import withdrawals_requested
from quotas.allocations.services import (
    allocation_close,
    allocation_expire,
    allocation_suspend,
    hold_void,
    withdrawal_cancel,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.ledger.selectors import balances
from tests.quotas.makers import HOUR, NOON, award, balance, charge, hold, limit, named, second_allocation, transfers

pytestmark = pytest.mark.django_db


def request_(allocation: Allocation, kind: str, amount: int, *, target: Allocation | None = None) -> list[Withdrawal]:
    return withdrawal_request(
        allocation_id=allocation.pk,
        kind=kind,
        amount_gpu_seconds=amount,
        reason="a reason",
        event_at=NOON,
        actor="test",
        target_id=target.pk if target else None,
        withdrawal_id=named(f"{kind} {amount}"),
    )


def confirm(*rows: Withdrawal) -> None:
    for row in rows:
        withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")


def unallocated(allocation: Allocation) -> int:
    return balances([allocation.voucher.account_id])[allocation.voucher.account_id].free


def confirm_all() -> None:
    """What a cluster's cycle does after it lowered and read back the limits."""
    confirm(*withdrawals_requested("local"))


def test_a_return_is_reserved_lowers_the_limit_and_reaches_the_voucher_when_confirmed(allocation: Allocation) -> None:
    [row] = request_(allocation, "return", 40 * HOUR)
    before = balance(allocation)
    assert (before.held, before.withdrawals_pending, before.free, before.remaining) == (
        0,
        40 * HOUR,
        60 * HOUR,
        100 * HOUR,
    )
    assert limit(allocation) == 60 * HOUR
    assert withdrawals_requested("local") == [row]
    assert unallocated(allocation) == 0
    confirm(row)
    after = balance(allocation)
    assert (after.granted, after.withdrawals_pending, after.free) == (60 * HOUR, 0, 60 * HOUR)
    assert limit(allocation) == 60 * HOUR
    assert unallocated(allocation) == 40 * HOUR


def test_what_returned_can_be_allocated_again(allocation: Allocation) -> None:
    confirm(*request_(allocation, "return", 40 * HOUR))
    second = second_allocation(allocation, gpu_seconds=40 * HOUR)
    assert (balance(second).free, limit(second), unallocated(allocation)) == (40 * HOUR, 40 * HOUR, 0)
    with pytest.raises(BalanceTooSmall):
        second_allocation(allocation, gpu_seconds=1)


def test_a_move_reaches_its_target_only_when_confirmed(allocation: Allocation) -> None:
    confirm(*request_(allocation, "return", 10 * HOUR))
    target = second_allocation(allocation, gpu_seconds=10 * HOUR)
    rows = request_(allocation, "move", 30 * HOUR, target=target)
    assert (limit(allocation), limit(target)) == (60 * HOUR, 10 * HOUR)
    confirm(*rows)
    assert (limit(allocation), limit(target)) == (60 * HOUR, 40 * HOUR)
    assert (balance(allocation).granted, balance(target).granted) == (60 * HOUR, 40 * HOUR)
    assert unallocated(allocation) == 0


def test_a_move_stays_within_its_voucher(allocation: Allocation, programme: object) -> None:
    other = award(allocation.project, programme, gpu_seconds=HOUR)  # type: ignore[arg-type]
    with pytest.raises(OtherVoucher):
        request_(allocation, "move", HOUR, target=other)


def test_a_move_needs_an_active_target(allocation: Allocation) -> None:
    confirm(*request_(allocation, "return", HOUR))
    target = second_allocation(allocation, gpu_seconds=HOUR)
    allocation_suspend(allocation_id=target.pk, reason="audit", actor="test")
    with pytest.raises(WrongState):
        request_(allocation, "move", HOUR, target=target)


def test_what_a_move_brings_to_an_ended_target_follows_its_end(allocation: Allocation) -> None:
    confirm(*request_(allocation, "return", HOUR))
    target = second_allocation(allocation, gpu_seconds=HOUR)
    rows = request_(allocation, "move", 2 * HOUR, target=target)
    allocation_close(allocation_id=target.pk, reason="done", actor="test")
    confirm(*rows)
    confirm_all()
    assert balance(target).remaining == 0
    assert unallocated(allocation) == 3 * HOUR


def test_a_clawback_expires(allocation: Allocation) -> None:
    confirm(*request_(allocation, "clawback", 30 * HOUR))
    after = balance(allocation)
    assert (after.granted, after.expired, after.free, unallocated(allocation)) == (100 * HOUR, 30 * HOUR, 70 * HOUR, 0)


def test_a_clawback_of_what_jobs_hold_waits_for_them(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 90 * HOUR)
    now_, rest = request_(allocation, "clawback", 50 * HOUR)
    assert (now_.state, now_.amount_gpu_seconds) == ("requested", 10 * HOUR)
    assert (rest.state, rest.amount_gpu_seconds) == ("waiting", 40 * HOUR)
    charge(allocation, "1", 60 * HOUR, hold_id=hold_id)  # gives 30 back
    assert balance(allocation).free == 0
    assert balance(allocation).withdrawals_pending == 40 * HOUR
    confirm_all()
    assert balance(allocation).expired == 40 * HOUR
    assert Withdrawal.objects.filter(state="waiting").get().amount_gpu_seconds == 10 * HOUR


def test_nobody_is_quicker_than_a_waiting_clawback(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 100 * HOUR)
    request_(allocation, "clawback", 100 * HOUR)
    hold_void(hold_id=hold_id, event_at=NOON, reason="cancelled", actor="test")
    with pytest.raises(BalanceTooSmall):
        hold(allocation, "2", 1)
    confirm_all()
    assert balance(allocation).expired == 100 * HOUR
    assert not Withdrawal.objects.filter(state="waiting").exists()


def test_a_clawback_cannot_want_what_is_neither_free_nor_held(allocation: Allocation) -> None:
    charge(allocation, "1", 50 * HOUR)
    with pytest.raises(BalanceTooSmall) as refused:
        request_(allocation, "clawback", 51 * HOUR)
    assert refused.value.free_gpu_seconds == 50 * HOUR


def test_other_withdrawals_take_only_what_is_free(allocation: Allocation) -> None:
    hold(allocation, "1", 90 * HOUR)
    with pytest.raises(BalanceTooSmall):
        request_(allocation, "return", 11 * HOUR)


def test_a_request_is_made_once(allocation: Allocation) -> None:
    first = request_(allocation, "return", HOUR)
    before = transfers()
    assert request_(allocation, "return", HOUR) == first
    assert transfers() == before


def test_a_confirmation_is_booked_once(allocation: Allocation) -> None:
    [row] = request_(allocation, "clawback", HOUR)
    assert withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test") is True
    assert withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test") is False
    assert balance(allocation).expired == HOUR


def test_a_cancelled_withdrawal_gives_back_and_cannot_be_confirmed(allocation: Allocation) -> None:
    [row] = request_(allocation, "return", HOUR)
    withdrawal_cancel(withdrawal_id=row.pk, reason="a mistake", event_at=NOON, actor="test")
    assert (balance(allocation).free, limit(allocation)) == (100 * HOUR, 100 * HOUR)
    with pytest.raises(WrongState):
        confirm(row)


def test_a_confirmed_withdrawal_cannot_be_cancelled(allocation: Allocation) -> None:
    [row] = request_(allocation, "return", HOUR)
    confirm(row)
    with pytest.raises(WrongState):
        withdrawal_cancel(withdrawal_id=row.pk, reason="too late", event_at=NOON, actor="test")


def test_a_waiting_clawback_can_be_cancelled(allocation: Allocation) -> None:
    hold(allocation, "1", 100 * HOUR)
    [row] = request_(allocation, "clawback", HOUR)
    withdrawal_cancel(withdrawal_id=row.pk, reason="a mistake", event_at=NOON, actor="test")
    hold_void(hold_id=named("hold 1"), event_at=NOON, reason="", actor="test")
    assert balance(allocation).free == 100 * HOUR


# --- expiry -------------------------------------------------------------------------------------------------------


def test_an_expired_allocation_gives_its_rest_to_expired(allocation: Allocation) -> None:
    charge(allocation, "1", 10 * HOUR)
    allocation_expire(allocation_id=allocation.pk, actor="test")
    assert (balance(allocation).free, limit(allocation)) == (0, 10 * HOUR)
    confirm_all()
    after = balance(allocation)
    assert (after.granted, after.consumed, after.expired, after.remaining) == (100 * HOUR, 10 * HOUR, 90 * HOUR, 0)


def test_what_a_running_job_holds_stays_until_it_ends_and_then_follows(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 30 * HOUR)
    allocation_expire(allocation_id=allocation.pk, actor="test")
    confirm_all()
    assert (balance(allocation).held, balance(allocation).expired) == (30 * HOUR, 70 * HOUR)
    charge(allocation, "1", 20 * HOUR, hold_id=hold_id)
    assert balance(allocation).free == 0
    confirm_all()
    after = balance(allocation)
    assert (after.consumed, after.expired, after.remaining) == (20 * HOUR, 80 * HOUR, 0)


def test_an_expiry_cannot_be_cancelled(allocation: Allocation) -> None:
    allocation_expire(allocation_id=allocation.pk, actor="test")
    with pytest.raises(WrongState):
        withdrawal_cancel(withdrawal_id=Withdrawal.objects.get().pk, reason="please", event_at=NOON, actor="test")


def test_a_closed_allocation_returns_its_rest_to_the_voucher(allocation: Allocation) -> None:
    allocation_close(allocation_id=allocation.pk, reason="the project is over", actor="test")
    confirm_all()
    assert (balance(allocation).granted, unallocated(allocation)) == (0, 100 * HOUR)
