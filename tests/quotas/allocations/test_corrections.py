"""A record that changed after its charge, and what an operator gives back."""

import pytest

from quotas.allocations.errors import AmountAboveCharge, ChargeUnknown
from quotas.allocations.models import Allocation, Refund
from quotas.allocations.services import BookedCorrection, correction_book, refund_book
from quotas.ledger.errors import IdempotencyConflict
from quotas.ledger.models import Transfer
from tests.quotas.makers import HOUR, NOON, balance, charge, hold, limit, named, transfers

pytestmark = pytest.mark.django_db


def correct(allocation: Allocation, difference: int, *, revision: int = 1) -> BookedCorrection:
    return correction_book(
        allocation_id=allocation.pk,
        record_charge_id=named("charge 1"),
        revision=revision,
        difference_gpu_seconds=difference,
        event_at=NOON,
        reason="the record changed",
        actor="test",
    )


def refund(allocation: Allocation, amount: int, *, name: str = "refund 1") -> Refund:
    return refund_book(
        allocation_id=allocation.pk,
        record_charge_id=named("charge 1"),
        refund_id=named(name),
        amount_gpu_seconds=amount,
        event_at=NOON,
        reason="node gpu002 failed",
        actor="test",
    )


# --- corrections --------------------------------------------------------------------------------------------------


def test_more_is_charged_to_the_free_balance(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR, hold_id=hold(allocation, "1", HOUR))
    assert correct(allocation, 60) == BookedCorrection(difference=60, overrun_difference=0)
    assert balance(allocation).consumed == HOUR + 60


def test_more_than_is_free_is_overrun(allocation: Allocation) -> None:
    charge(allocation, "1", 100 * HOUR)
    assert correct(allocation, 60).overrun_difference == 60


def test_less_goes_back_to_the_allocation(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR, hold_id=hold(allocation, "1", HOUR))
    assert correct(allocation, -60) == BookedCorrection(difference=-60, overrun_difference=0)
    after = balance(allocation)
    assert (after.consumed, after.free) == (HOUR - 60, 99 * HOUR + 60)


def test_less_goes_back_to_the_overrun_first(allocation: Allocation) -> None:
    charge(allocation, "1", 102 * HOUR)
    assert correct(allocation, -3 * HOUR).overrun_difference == -2 * HOUR
    after = balance(allocation)
    assert (after.overrun, after.consumed, after.free) == (0, 99 * HOUR, HOUR)


def test_a_correction_to_nothing_leaves_the_whole_grant(allocation: Allocation) -> None:
    charge(allocation, "1", 102 * HOUR)
    correct(allocation, -102 * HOUR)
    after = balance(allocation)
    assert (after.overrun, after.consumed, after.free) == (0, 0, 100 * HOUR)


def test_less_than_nothing_cannot_be_charged(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR)
    with pytest.raises(AmountAboveCharge) as refused:
        correct(allocation, -HOUR - 1)
    assert refused.value.left_gpu_seconds == HOUR


def test_a_revision_is_booked_once(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR)
    first = correct(allocation, 60)
    before = transfers()
    assert correct(allocation, 60) == first
    assert transfers() == before
    with pytest.raises(IdempotencyConflict):
        correct(allocation, 61)


def test_each_revision_counts(allocation: Allocation) -> None:
    charge(allocation, "1", 101 * HOUR)
    correct(allocation, -2 * HOUR, revision=1)
    correct(allocation, 5 * HOUR, revision=2)
    assert correct(allocation, -HOUR, revision=3).overrun_difference == -HOUR
    after = balance(allocation)
    assert (after.consumed, after.overrun, after.free) == (103 * HOUR, 3 * HOUR, 0)


def test_a_correction_is_in_the_charges_batch(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR)
    correct(allocation, -60)
    assert Transfer.objects.filter(batch=named("charge 1")).count() == 2


def test_a_correction_leaves_the_limit_alone(allocation: Allocation) -> None:
    charge(allocation, "1", HOUR)
    correct(allocation, -60)
    assert limit(allocation) == 100 * HOUR


def test_a_record_that_was_never_charged_has_no_correction(allocation: Allocation) -> None:
    with pytest.raises(ChargeUnknown):
        correct(allocation, -1)


# --- refunds ------------------------------------------------------------------------------------------------------


def test_a_refund_goes_back_to_the_allocation_and_raises_the_limit(allocation: Allocation) -> None:
    charge(allocation, "1", 10 * HOUR, hold_id=hold(allocation, "1", 10 * HOUR))
    refund(allocation, 4 * HOUR)
    after = balance(allocation)
    assert (after.consumed, after.free, after.granted) == (6 * HOUR, 94 * HOUR, 100 * HOUR)
    assert limit(allocation) == 104 * HOUR
    assert Transfer.objects.get(pk=named("refund 1")).batch == named("charge 1")


def test_a_refund_is_booked_once(allocation: Allocation) -> None:
    charge(allocation, "1", 10 * HOUR)
    refund(allocation, HOUR)
    refund(allocation, HOUR)
    assert balance(allocation).consumed == 9 * HOUR
    with pytest.raises(IdempotencyConflict):
        refund(allocation, 2 * HOUR)


@pytest.mark.parametrize("amount", [0, -1, 8 * HOUR])
def test_no_more_is_refunded_than_was_charged(allocation: Allocation, amount: int) -> None:
    charge(allocation, "1", 10 * HOUR)
    refund(allocation, 3 * HOUR)
    with pytest.raises(AmountAboveCharge) as refused:
        refund(allocation, amount, name="refund 2")
    assert refused.value.left_gpu_seconds == 7 * HOUR


def test_what_the_centre_bore_is_not_refunded(allocation: Allocation) -> None:
    charge(allocation, "1", 103 * HOUR)
    with pytest.raises(AmountAboveCharge) as refused:
        refund(allocation, 101 * HOUR)
    assert refused.value.left_gpu_seconds == 100 * HOUR


def test_a_charge_of_another_allocation_is_not_refunded(allocation: Allocation, programme: object) -> None:
    with pytest.raises(ChargeUnknown):
        refund(allocation, 1)


def test_a_refund_of_what_was_never_used_falls_with_the_correction(allocation: Allocation) -> None:
    charge(allocation, "1", 10 * HOUR)
    refund(allocation, 10 * HOUR)
    correct(allocation, -4 * HOUR)
    after = balance(allocation)
    assert (after.consumed, after.free) == (0, 100 * HOUR)
    # The counter in Slurm follows the record to 6 hours, of which all are refunded.
    assert limit(allocation) == 106 * HOUR
    correct(allocation, -6 * HOUR, revision=2)
    assert (balance(allocation).consumed, balance(allocation).free, limit(allocation)) == (0, 100 * HOUR, 100 * HOUR)
