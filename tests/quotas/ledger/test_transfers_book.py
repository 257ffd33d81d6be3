"""The one service: what each kind of transfer does, what is refused, what a replay answers."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from quotas.ledger import errors
from quotas.ledger.models import Account, Transfer
from quotas.ledger.selectors import balances, holds_open, holds_resolved_by, transfers_of_batch
from quotas.ledger.services import Entry, account_create, accounts_lock, transfers_book
from tests.quotas.ledger.making import (
    EVENT_AT,
    H100,
    Books,
    assert_adds_up,
    book,
    direct,
    free,
    hold,
    post,
    totals,
    void,
)

# --- flows --------------------------------------------------------------------------------------------------------


def test_a_direct_transfer_moves_the_amount_at_once(books: Books) -> None:
    book(direct(books.allocation, books.consumed, 30))

    assert totals(books.allocation) == (0, 30, 0, 100)
    assert totals(books.consumed) == (0, 0, 0, 30)


def test_a_hold_reserves_on_both_sides_and_moves_nothing(books: Books) -> None:
    book(hold(books.allocation, books.consumed, 30))

    assert totals(books.allocation) == (30, 0, 0, 100)
    assert totals(books.consumed) == (0, 0, 30, 0)
    assert free(books.allocation) == 70
    assert free(books.consumed) == 0


def test_a_post_moves_its_part_and_frees_the_rest(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30))

    book(post(held.pk, 12))

    assert totals(books.allocation) == (0, 12, 0, 100)
    assert totals(books.consumed) == (0, 0, 0, 12)


def test_a_post_of_zero_is_a_job_that_used_nothing(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30))

    book(post(held.pk, 0))

    assert totals(books.allocation) == (0, 0, 0, 100)


def test_a_void_frees_the_whole_hold_and_says_how_much(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30))

    (voided,) = book(void(held.pk))

    assert totals(books.allocation) == (0, 0, 0, 100)
    assert (voided.debit_id, voided.credit_id, voided.amount) == (books.allocation.pk, books.consumed.pk, 30)


def test_a_requeue_posts_the_run_and_takes_the_next_hold_in_one_batch(books: Books) -> None:
    (first,) = book(hold(books.allocation, books.consumed, 100))

    book(post(first.pk, 40), hold(books.allocation, books.consumed, 60))

    assert totals(books.allocation) == (60, 40, 0, 100)


def test_the_balance_is_asked_of_the_batch_as_a_whole(books: Books) -> None:
    """An overrun in the order in which nobody would pay: consumed first, borne by the centre after."""
    book(direct(books.allocation, books.consumed, 130), direct(books.overrun, books.allocation, 30))

    assert totals(books.allocation) == (0, 130, 0, 130)
    assert_adds_up()


def test_an_award_goes_from_the_pool_through_the_voucher_in_one_batch(books: Books) -> None:
    voucher = account_create(unit=H100, kind=Account.Kind.VOUCHER, owner="voucher:1")

    book(direct(books.pool, voucher, 500), direct(voucher, books.allocation, 200))

    assert (free(books.pool), free(voucher), free(books.allocation)) == (500, 300, 300)


def test_a_batch_of_several_units_keeps_them_apart(books: Books) -> None:
    book(direct(books.allocation, books.consumed, 10), direct(books.other_allocation, books.other_consumed, 20))

    assert (free(books.allocation), free(books.other_allocation)) == (90, 80)


def test_what_is_answered_is_what_is_stored(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30, expires_at=EVENT_AT + timedelta(hours=1)))
    answered = [held, *book(direct(books.allocation, books.consumed, 1), post(held.pk, 7), batch=uuid4())]

    fields = [field.attname for field in Transfer._meta.concrete_fields]
    for transfer in answered:
        stored = Transfer.objects.get(pk=transfer.pk)
        assert {name: getattr(transfer, name) for name in fields} == {name: getattr(stored, name) for name in fields}


def test_an_empty_batch_books_nothing(db: None) -> None:
    assert book() == []


def test_a_batch_costs_one_round_trip(books: Books) -> None:
    held = hold(books.allocation, books.consumed, 30)
    statements = 0

    def count(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        nonlocal statements
        statements += not sql.startswith(("SAVEPOINT", "RELEASE"))  # the test's own transaction asks for these
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        book(held, direct(books.allocation, books.consumed, 1))

    assert statements == 1


# --- refusals -----------------------------------------------------------------------------------------------------


def test_it_refuses_to_take_an_account_below_zero(books: Books) -> None:
    book(hold(books.allocation, books.consumed, 60))

    with pytest.raises(errors.InsufficientBalance) as refused:
        book(hold(books.allocation, books.consumed, 50))

    assert (refused.value.account_id, refused.value.needed, refused.value.short_by) == (books.allocation.pk, 50, 10)
    assert totals(books.allocation) == (60, 0, 0, 100)


def test_what_is_promised_cannot_be_spent(books: Books) -> None:
    """A pending credit is no money yet: a tranche held for a voucher."""
    book(hold(books.pool, books.allocation, 500))

    with pytest.raises(errors.InsufficientBalance):
        book(direct(books.allocation, books.consumed, 101))


def test_an_owner_full_of_brackets_and_commas_does_not_confuse_the_refusal(books: Books) -> None:
    odd = account_create(unit=H100, kind=Account.Kind.ALLOCATION, owner="(1, 2, 3, 4, 5)" * 8)

    with pytest.raises(errors.InsufficientBalance) as refused:
        book(direct(odd, books.consumed, 5))

    assert (refused.value.account_id, refused.value.needed, refused.value.short_by) == (odd.pk, 5, 5)


@pytest.mark.parametrize("kind", ["source", "overrun", "contribution"])
def test_the_three_named_kinds_may_overdraw(books: Books, kind: str) -> None:
    account = account_create(unit=H100, kind=kind, owner="x", may_overdraw=True)

    book(direct(account, books.pool, 10**12))

    assert free(account) == -(10**12)


def test_one_bad_entry_refuses_the_whole_batch(books: Books) -> None:
    with pytest.raises(errors.UnitMismatch):
        book(direct(books.allocation, books.consumed, 1), direct(books.allocation, books.other_consumed, 1))

    assert totals(books.allocation) == (0, 0, 0, 100)


def test_it_refuses_a_transfer_across_units(books: Books) -> None:
    with pytest.raises(errors.UnitMismatch):
        book(direct(books.allocation, books.other_consumed, 1))


def test_it_refuses_an_unknown_account(books: Books) -> None:
    with pytest.raises(errors.AccountUnknown):
        book(direct(books.allocation, 0, 1))


def test_it_refuses_to_post_more_than_was_held(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30))

    with pytest.raises(errors.PostAboveHold):
        book(post(held.pk, 31))


@pytest.mark.parametrize("again", [lambda hold_id: post(hold_id, 1), void], ids=["post", "void"])
@pytest.mark.parametrize("first", [lambda hold_id: post(hold_id, 1), void], ids=["post", "void"])
def test_a_hold_is_resolved_once(books: Books, first, again) -> None:  # type: ignore[no-untyped-def]
    (held,) = book(hold(books.allocation, books.consumed, 30))
    book(first(held.pk))

    with pytest.raises(errors.HoldAlreadyResolved):
        book(again(held.pk))


def test_it_refuses_to_resolve_twice_in_one_batch(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30))

    with pytest.raises(errors.HoldAlreadyResolved):
        book(post(held.pk, 1), void(held.pk))

    assert totals(books.allocation) == (30, 0, 0, 100)


def test_it_refuses_to_resolve_what_does_not_exist(books: Books) -> None:
    with pytest.raises(errors.HoldUnknown):
        book(void(uuid4()))


def test_it_refuses_to_resolve_what_is_not_a_hold(books: Books) -> None:
    (moved,) = book(direct(books.allocation, books.consumed, 30))

    with pytest.raises(errors.HoldUnknown):
        book(post(moved.pk, 1))


@pytest.mark.parametrize("amount", [0, -1])
@pytest.mark.parametrize("make", [direct, hold])
def test_it_refuses_an_amount_that_moves_nothing(books: Books, make, amount: int) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(errors.InvalidEntry):
        book(make(books.allocation, books.consumed, amount))


def test_it_refuses_a_negative_post(books: Books) -> None:
    (held,) = book(hold(books.allocation, books.consumed, 30))

    with pytest.raises(errors.InvalidEntry):
        book(post(held.pk, -1))


def test_it_refuses_one_account_on_both_sides(books: Books) -> None:
    with pytest.raises(errors.InvalidEntry):
        book(direct(books.allocation, books.allocation, 1))


def test_a_refusal_leaves_the_callers_transaction_usable(books: Books) -> None:
    with transaction.atomic():
        book(direct(books.allocation, books.consumed, 1))
        with pytest.raises(errors.InsufficientBalance):
            book(direct(books.allocation, books.consumed, 100))
        book(direct(books.allocation, books.consumed, 2))

    assert totals(books.allocation) == (0, 3, 0, 100)


@pytest.mark.parametrize("amount", [1.0, True, "1"])
def test_an_amount_is_an_integer(books: Books, amount: object) -> None:
    with pytest.raises(TypeError, match="An amount is an int"):
        direct(books.allocation, books.consumed, amount)  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_refused(books: Books) -> None:
    naive = datetime(2026, 3, 1, 8, 0)  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="time zone"):
        Entry.direct(id=uuid4(), debit=1, credit=2, amount=1, reason="x", event_at=naive)
    with pytest.raises(ValueError, match="time zone"):
        transfers_book(entries=[direct(books.source, books.pool, 1)], booked_at=naive, actor="tests")


# --- locks and selectors ------------------------------------------------------------------------------------------


def test_a_lock_answers_the_balances_under_it(books: Books) -> None:
    with transaction.atomic():
        locked = accounts_lock(account_ids=[books.consumed.pk, books.allocation.pk, books.allocation.pk])

    assert locked == balances([books.allocation.pk, books.consumed.pk])
    assert locked[books.allocation.pk].free == 100


@pytest.mark.usefixtures("committed")
def test_a_lock_outside_a_transaction_is_a_mistake() -> None:
    with pytest.raises(TransactionManagementError):
        accounts_lock(account_ids=[1])


def test_a_batch_is_found_by_its_name_or_by_its_first_entry(books: Books) -> None:
    name = uuid4()
    named = book(direct(books.allocation, books.consumed, 1), direct(books.pool, books.consumed, 2), batch=name)
    unnamed = book(direct(books.allocation, books.consumed, 3), direct(books.pool, books.consumed, 4))

    assert set(transfers_of_batch(name)) == set(named)
    assert set(transfers_of_batch(unnamed[0].pk)) == set(unnamed)
    assert not transfers_of_batch(unnamed[1].pk)


def test_entries_booked_at_once_may_belong_to_batches_of_their_own(books: Books) -> None:
    first, second = uuid4(), uuid4()

    booked = book(
        direct(books.allocation, books.consumed, 1).in_batch(first),
        direct(books.allocation, books.consumed, 2).in_batch(second),
        direct(books.pool, books.consumed, 3).in_batch(second),
    )

    assert list(transfers_of_batch(first)) == booked[:1]
    assert set(transfers_of_batch(second)) == set(booked[1:])


def test_open_holds_are_those_that_nothing_resolves(books: Books) -> None:
    kept, posted, voided = book(*(hold(books.allocation, books.consumed, 10) for _ in range(3)))
    book(post(posted.pk, 3), void(voided.pk))

    assert list(holds_open()) == [kept]
    resolved = holds_resolved_by([kept.pk, posted.pk, voided.pk])
    assert {hold_id: (by.kind, by.amount) for hold_id, by in resolved.items()} == {
        posted.pk: ("post", 3),
        voided.pk: ("void", 10),
    }
