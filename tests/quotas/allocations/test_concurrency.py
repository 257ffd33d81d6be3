"""Many at once, on real PostgreSQL: nothing is lost, nothing waits in a circle."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from portal.people.models import Project
from quotas.allocations.errors import BalanceTooSmall
from quotas.allocations.services import charges_book, withdrawal_confirm, withdrawal_request
from tests.quotas.makers import HOUR, NOON, award, balance, charge_of, hold, named, programme, second_allocation

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_same_charge_from_eight_workers_is_booked_once(project: Project) -> None:
    allocation = award(project, programme("eight"))
    hold_id = hold(allocation, "1", HOUR)

    def attempt(_number: int) -> int:
        try:
            one = charge_of(allocation, "1", 2 * HOUR, hold_id=hold_id, next_hold=(named("next"), HOUR))
            return charges_book(charges=[one], actor="test")[0].gpu_seconds
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert list(pool.map(attempt, range(8))) == [2 * HOUR] * 8
    after = balance(allocation)
    assert (after.consumed, after.held, after.overrun) == (2 * HOUR, HOUR, 0)


def test_holds_charges_and_withdrawals_of_one_voucher_do_not_deadlock(project: Project) -> None:
    first = award(project, programme("mixed"), gpu_seconds=100 * HOUR)
    [row] = withdrawal_request(
        allocation_id=first.pk, kind="return", amount_gpu_seconds=50 * HOUR, reason="", event_at=NOON, actor="test"
    )
    withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")
    second = second_allocation(first, gpu_seconds=50 * HOUR)
    both = [first, second]

    def life(number: int) -> int:
        mine, other = both[number % 2], both[(number + 1) % 2]
        try:
            hold_id = hold(mine, f"mixed {number}", HOUR)
            moves = withdrawal_request(
                allocation_id=mine.pk,
                kind="move",
                amount_gpu_seconds=60,
                reason="",
                event_at=NOON,
                actor="test",
                target_id=other.pk,
            )
            charges = [
                charge_of(other, f"outside {number}", 30),
                charge_of(mine, f"mixed {number}", HOUR + 30, hold_id=hold_id),
            ]
            withdrawal_confirm(withdrawal_id=moves[0].pk, event_at=NOON, actor="test")
            return sum(one.gpu_seconds for one in charges_book(charges=charges, actor="test"))
        except BalanceTooSmall:
            return 0
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=16) as pool:
        booked = sum(pool.map(life, range(48)))
    one, two = balance(first), balance(second)
    assert booked == 48 * (HOUR + 60)
    assert one.consumed + two.consumed == booked
    assert one.granted + two.granted == 100 * HOUR
    assert (one.held, two.held, one.withdrawals_pending, two.withdrawals_pending) == (0, 0, 0, 0)
