"""Holds: taken before a job is submitted, given back when it never ran."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from django.db import connection

from portal.people.models import Project
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.models import Allocation
from quotas.allocations.services import allocation_resume, allocation_suspend, hold_void, withdrawal_request
from quotas.ledger.errors import HoldUnknown, IdempotencyConflict
from quotas.programmes.models import Programme
from tests.quotas.makers import HOUR, NOON, award, balance, charge, hold, named, programme, transfers

pytestmark = pytest.mark.django_db


def test_a_hold_leaves_the_free_balance(allocation: Allocation) -> None:
    hold(allocation, "1", 30 * HOUR)
    after = balance(allocation)
    assert (after.granted, after.held, after.free, after.remaining) == (100 * HOUR, 30 * HOUR, 70 * HOUR, 70 * HOUR)


def test_it_says_how_much_is_free_and_how_much_is_needed(allocation: Allocation) -> None:
    hold(allocation, "1", 99 * HOUR)
    with pytest.raises(BalanceTooSmall) as refused:
        hold(allocation, "2", HOUR + 1)
    assert (refused.value.free_gpu_seconds, refused.value.needed_gpu_seconds) == (HOUR, HOUR + 1)


def test_the_last_second_can_be_held(allocation: Allocation) -> None:
    hold(allocation, "1", 100 * HOUR)
    assert balance(allocation).free == 0


def test_the_same_hold_again_changes_nothing(allocation: Allocation) -> None:
    hold(allocation, "1", HOUR)
    before = transfers()
    hold(allocation, "1", HOUR)
    assert transfers() == before


def test_the_same_hold_again_is_answered_even_after_a_suspension(allocation: Allocation) -> None:
    hold(allocation, "1", HOUR)
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
    hold(allocation, "1", HOUR)
    assert balance(allocation).held == HOUR


def test_the_same_hold_with_another_amount_is_an_error(allocation: Allocation) -> None:
    hold(allocation, "1", HOUR)
    with pytest.raises(IdempotencyConflict):
        hold(allocation, "1", 2 * HOUR)


def test_a_suspended_allocation_takes_no_hold_until_it_is_resumed(allocation: Allocation) -> None:
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
    with pytest.raises(AllocationNotOpen) as refused:
        hold(allocation, "1", HOUR)
    assert refused.value.state == "suspended"
    allocation_resume(allocation_id=allocation.pk, reason="audit is over", actor="test")
    hold(allocation, "1", HOUR)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        (datetime(2026, 3, 31, 16, 59, 59, tzinfo=UTC), False),  # 31 March, 23:59:59 in Ho Chi Minh City
        (datetime(2026, 3, 31, 17, 0, 0, tzinfo=UTC), True),  # midnight there: 1 April begins
        (datetime(2026, 4, 30, 16, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 4, 30, 17, 0, 0, tzinfo=UTC), False),
    ],
)
def test_its_days_are_the_centres_days_both_included(
    project: Project, programme: Programme, moment: datetime, is_open: bool
) -> None:
    april = award(project, programme, starts_on=date(2026, 4, 1), ends_on=date(2026, 4, 30))
    if is_open:
        hold(april, "1", HOUR, at=moment)
    else:
        with pytest.raises(AllocationNotOpen):
            hold(april, "1", HOUR, at=moment)


def test_a_void_gives_all_of_it_back_once(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", HOUR)
    assert hold_void(hold_id=hold_id, event_at=NOON, reason="refused by Slurm", actor="test") is True
    assert balance(allocation).free == 100 * HOUR
    assert hold_void(hold_id=hold_id, event_at=NOON, reason="again", actor="test") is False


def test_a_void_after_the_charge_changes_nothing(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", HOUR)
    charge(allocation, "1", HOUR, hold_id=hold_id)
    assert hold_void(hold_id=hold_id, event_at=NOON, reason="late", actor="test") is False
    assert balance(allocation).consumed == HOUR


def test_voiding_what_is_no_hold_is_an_error(allocation: Allocation) -> None:
    with pytest.raises(HoldUnknown):
        hold_void(hold_id=named("nothing"), event_at=NOON, reason="", actor="test")


def test_a_withdrawals_hold_is_not_voided_as_a_jobs(allocation: Allocation) -> None:
    [row] = withdrawal_request(
        allocation_id=allocation.pk, kind="return", amount_gpu_seconds=HOUR, reason="", event_at=NOON, actor="test"
    )
    with pytest.raises(HoldUnknown):
        hold_void(hold_id=row.pk, event_at=NOON, reason="", actor="test")


@pytest.mark.django_db(transaction=True)
def test_forty_at_once_against_a_balance_for_ten(project: Project) -> None:
    allocation = award(project, programme("forty"), gpu_seconds=10 * HOUR)

    def attempt(number: int) -> str:
        try:
            hold(allocation, f"forty {number}", HOUR)
        except BalanceTooSmall as refused:
            return "refused" if refused.free_gpu_seconds < refused.needed_gpu_seconds == HOUR else "refused wrongly"
        finally:
            connection.close()
        return "held"

    with ThreadPoolExecutor(max_workers=40) as pool:
        outcomes = list(pool.map(attempt, range(40)))
    assert (outcomes.count("held"), outcomes.count("refused")) == (10, 30)
    after = balance(allocation)
    assert (after.held, after.free) == (10 * HOUR, 0)
