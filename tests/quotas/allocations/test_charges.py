"""Charging: min(actual, hold) from the hold, an excess from the free balance, only what is left from overrun."""

import pytest

from quotas.allocations.models import Allocation
from quotas.allocations.services import allocation_suspend, charges_book, hold_void
from quotas.ledger.errors import HoldUnknown, IdempotencyConflict
from quotas.ledger.models import Transfer
from tests.quotas.makers import HOUR, NOON, balance, charge, charge_of, hold, limit, named, transfers

pytestmark = pytest.mark.django_db


def test_a_charge_within_its_hold_frees_the_rest(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 10 * HOUR)
    booked = charge(allocation, "1", 4 * HOUR, hold_id=hold_id)
    assert (booked.from_hold, booked.from_free, booked.overrun) == (4 * HOUR, 0, 0)
    after = balance(allocation)
    assert (after.held, after.consumed, after.free) == (0, 4 * HOUR, 96 * HOUR)


def test_a_charge_of_nothing_posts_zero_and_frees_all(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 10 * HOUR)
    assert charge(allocation, "1", 0, hold_id=hold_id).gpu_seconds == 0
    assert balance(allocation).free == 100 * HOUR


def test_an_excess_comes_from_the_free_balance(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 10 * HOUR)
    booked = charge(allocation, "1", 12 * HOUR, hold_id=hold_id)
    assert (booked.from_hold, booked.from_free, booked.overrun) == (10 * HOUR, 2 * HOUR, 0)
    assert balance(allocation).overrun == 0


def test_only_what_no_balance_covers_is_overrun(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 99 * HOUR)
    booked = charge(allocation, "1", 103 * HOUR, hold_id=hold_id)
    assert (booked.from_hold, booked.from_free, booked.overrun) == (99 * HOUR, HOUR, 3 * HOUR)
    after = balance(allocation)
    assert (after.granted, after.overrun, after.consumed, after.free) == (100 * HOUR, 3 * HOUR, 103 * HOUR, 0)


def test_another_jobs_hold_is_not_touched_by_an_excess(allocation: Allocation) -> None:
    mine, other = hold(allocation, "1", 10 * HOUR), hold(allocation, "2", 89 * HOUR)
    assert charge(allocation, "1", 15 * HOUR, hold_id=mine).overrun == 4 * HOUR
    assert balance(allocation).held == 89 * HOUR
    assert charge(allocation, "2", 89 * HOUR, hold_id=other).overrun == 0


def test_a_charge_without_a_hold_takes_the_free_balance(allocation: Allocation) -> None:
    booked = charge(allocation, "outside", 101 * HOUR)
    assert (booked.from_hold, booked.from_free, booked.overrun) == (0, 100 * HOUR, HOUR)


def test_a_charge_with_nothing_left_is_all_overrun(allocation: Allocation) -> None:
    hold(allocation, "other", 100 * HOUR)
    booked = charge(allocation, "outside", 7)
    assert (booked.from_free, booked.overrun) == (0, 7)
    assert charge(allocation, "outside", 7) == booked


def test_its_id_is_the_charges_first_transfer(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", HOUR)
    charge(allocation, "1", 2 * HOUR, hold_id=hold_id)
    first = Transfer.objects.get(pk=named("charge 1"))
    assert (first.kind, first.resolves_id, first.amount) == ("post", hold_id, HOUR)
    assert Transfer.objects.filter(batch=named("charge 1")).count() == 2


@pytest.mark.parametrize("gpu_seconds", [0, 4 * HOUR, 12 * HOUR, 104 * HOUR])
def test_replaying_a_charge_books_nothing_and_answers_the_same(allocation: Allocation, gpu_seconds: int) -> None:
    hold_id = hold(allocation, "1", 10 * HOUR)
    first = charge(allocation, "1", gpu_seconds, hold_id=hold_id)
    before = transfers()
    assert charge(allocation, "1", gpu_seconds, hold_id=hold_id) == first
    assert transfers() == before


def test_the_same_charge_twice_in_one_call_is_booked_once(allocation: Allocation) -> None:
    one = charge_of(allocation, "1", HOUR)
    assert charges_book(charges=[one, one], actor="test")[0].gpu_seconds == HOUR
    assert balance(allocation).consumed == HOUR


def test_a_charge_cannot_come_back_with_another_amount(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR)
    with pytest.raises(IdempotencyConflict):
        charge(allocation, "1", HOUR + 1)


def test_a_hold_that_was_voided_counts_as_none(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 10 * HOUR)
    hold_void(hold_id=hold_id, event_at=NOON, reason="evicted", actor="test")
    booked = charge(allocation, "1", HOUR, hold_id=hold_id)
    assert (booked.from_hold, booked.from_free) == (0, HOUR)


def test_an_unknown_hold_is_an_error_and_books_nothing(allocation: Allocation) -> None:
    with pytest.raises(HoldUnknown):
        charges_book(
            charges=[charge_of(allocation, "1", HOUR), charge_of(allocation, "2", 1, hold_id=named("nothing"))],
            actor="test",
        )
    assert balance(allocation).consumed == 0


def test_two_charges_that_name_one_hold_share_nothing(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 10 * HOUR)
    first, second = charges_book(
        charges=[
            charge_of(allocation, "1", HOUR, hold_id=hold_id),
            charge_of(allocation, "2", 2 * HOUR, hold_id=hold_id),
        ],
        actor="test",
    )
    assert (first.from_hold + second.from_hold, first.from_free + second.from_free) == (HOUR, 2 * HOUR)


def test_what_one_charge_gives_back_covers_another_of_the_same_call(allocation: Allocation) -> None:
    small, large = hold(allocation, "1", 50 * HOUR), hold(allocation, "2", 50 * HOUR)
    excess, rest = charges_book(
        charges=[
            charge_of(allocation, "1", 60 * HOUR, hold_id=small),
            charge_of(allocation, "2", 30 * HOUR, hold_id=large),
        ],
        actor="test",
    )
    assert (excess.from_free, excess.overrun, rest.from_hold) == (10 * HOUR, 0, 30 * HOUR)


# --- the next hold of a requeued job ------------------------------------------------------------------------------


def test_a_requeue_posts_the_run_and_takes_the_next_hold_in_the_same_batch(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 60 * HOUR)
    booked = charge(allocation, "1", HOUR, hold_id=hold_id, next_hold=(named("next"), 60 * HOUR))
    assert booked.next_hold_taken
    assert balance(allocation).held == 60 * HOUR
    assert Transfer.objects.get(pk=named("next")).batch == named("charge 1")


def test_a_next_hold_that_does_not_fit_is_not_taken_and_the_charge_stays(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", 60 * HOUR)
    booked = charge(allocation, "1", 50 * HOUR, hold_id=hold_id, next_hold=(named("next"), 60 * HOUR))
    assert not booked.next_hold_taken
    assert balance(allocation).consumed == 50 * HOUR


def test_a_next_hold_is_not_taken_on_a_suspended_allocation(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", HOUR)
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
    assert not charge(allocation, "1", HOUR, hold_id=hold_id, next_hold=(named("next"), HOUR)).next_hold_taken


def test_charges_outrank_next_holds(allocation: Allocation) -> None:
    first, second = hold(allocation, "1", 50 * HOUR), hold(allocation, "2", 50 * HOUR)
    requeued, excess = charges_book(
        charges=[
            charge_of(allocation, "1", 0, hold_id=first, next_hold=(named("next"), 50 * HOUR)),
            charge_of(allocation, "2", 51 * HOUR, hold_id=second),
        ],
        actor="test",
    )
    assert excess.overrun == 0
    assert not requeued.next_hold_taken


def test_replaying_a_requeue_answers_whether_its_hold_was_taken(allocation: Allocation) -> None:
    hold_id = hold(allocation, "1", HOUR)
    args = {"hold_id": hold_id, "next_hold": (named("next"), HOUR)}
    assert charge(allocation, "1", 5, **args) == charge(allocation, "1", 5, **args)
    assert balance(allocation).held == HOUR


# --- the limit in Slurm -------------------------------------------------------------------------------------------


def test_the_limit_is_what_was_granted_plus_what_the_centre_bore(allocation: Allocation) -> None:
    assert limit(allocation) == 100 * HOUR
    charge(allocation, "1", 103 * HOUR)
    assert limit(allocation) == 103 * HOUR
