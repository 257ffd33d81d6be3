"""What is booked again is answered as it is stored; the same id with something else is an error."""

from datetime import timedelta
from uuid import uuid4

import pytest

from quotas.ledger import errors
from quotas.ledger.services import Entry, transfers_book
from tests.quotas.ledger.making import (
    BOOKED_AT,
    EVENT_AT,
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


def test_a_replay_answers_what_is_stored_and_moves_nothing(books: Books) -> None:
    held = hold(books.allocation, books.consumed, 30)
    book(held)
    posted = post(held.id, 12)
    first = book(posted, batch=uuid4())

    again = transfers_book(entries=[posted], booked_at=BOOKED_AT + timedelta(days=1), actor="somebody else")

    assert again == first
    assert (again[0].booked_at, again[0].actor, again[0].batch) == (BOOKED_AT, "tests", first[0].batch)
    assert totals(books.allocation) == (0, 12, 0, 100)
    assert_adds_up()


def test_a_replay_may_bring_something_new_with_it(books: Books) -> None:
    held = hold(books.allocation, books.consumed, 30)
    book(held)

    answered = book(direct(books.allocation, books.consumed, 5), held)

    assert [transfer.amount for transfer in answered] == [5, 30]
    assert totals(books.allocation) == (30, 5, 0, 100)


def test_the_same_entry_twice_in_a_batch_is_booked_once(books: Books) -> None:
    moved = direct(books.allocation, books.consumed, 5)

    book(moved, moved)

    assert totals(books.allocation) == (0, 5, 0, 100)


def test_a_replay_of_a_hold_works_after_it_was_resolved(books: Books) -> None:
    held = hold(books.allocation, books.consumed, 30)
    book(held)
    book(void(held.id))

    book(held)

    assert totals(books.allocation) == (0, 0, 0, 100)


def test_a_replay_works_when_the_balance_is_used_up(books: Books) -> None:
    moved = direct(books.allocation, books.consumed, 100)
    book(moved)

    book(moved)

    assert free(books.allocation) == 0


@pytest.mark.parametrize(
    "changed",
    [
        lambda b, e: direct(b.allocation, b.consumed, 31, id=e.id),
        lambda b, e: direct(b.pool, b.consumed, 30, id=e.id),
        lambda b, e: direct(b.allocation, b.overrun, 30, id=e.id),
        lambda b, e: hold(b.allocation, b.consumed, 30, id=e.id),
        lambda b, e: Entry.direct(
            id=e.id, debit=b.allocation, credit=b.consumed, amount=30, reason="another", event_at=EVENT_AT
        ),
        lambda b, e: Entry.direct(
            id=e.id, debit=b.allocation, credit=b.consumed, amount=30, reason=e.reason, event_at=BOOKED_AT
        ),
    ],
    ids=["amount", "debit", "credit", "kind", "reason", "event_at"],
)
def test_the_same_id_with_other_fields_is_an_error(books: Books, changed) -> None:  # type: ignore[no-untyped-def]
    moved = direct(books.allocation, books.consumed, 30)
    book(moved)

    with pytest.raises(errors.IdempotencyConflict):
        book(changed(books, moved))

    assert totals(books.allocation) == (0, 30, 0, 100)
