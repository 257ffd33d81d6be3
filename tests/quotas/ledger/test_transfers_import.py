"""The bulk path: the same rules, whole or not at all, and quick enough for a centre's history."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connection

from quotas.ledger import errors
from quotas.ledger.models import Transfer
from quotas.ledger.services import Entry, transfers_import
from tests.quotas.ledger.making import BOOKED_AT, Books, assert_adds_up, book, direct, hold, post, totals, void


def load(*rows: Entry, batch: UUID | None = None) -> int:
    return transfers_import(rows=rows, booked_at=BOOKED_AT, actor="tests", batch=batch)


def staged() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_staging")
        return cursor.fetchone()[0]


def test_it_books_all_kinds(books: Books) -> None:
    first, second = hold(books.allocation, books.consumed, 30), hold(books.allocation, books.consumed, 20)
    load(first, second, direct(books.pool, books.allocation, 1))

    assert load(post(first.id, 25), void(second.id)) == 2

    assert totals(books.allocation) == (0, 25, 0, 101)
    assert staged() == 0
    assert_adds_up()


def test_importing_again_books_what_is_new_only(books: Books) -> None:
    rows = [direct(books.pool, books.consumed, 1) for _ in range(5)]
    assert load(*rows[:3]) == 3

    assert load(*rows) == 2
    assert load(*rows) == 0

    assert totals(books.consumed) == (0, 0, 0, 5)


def test_each_transfer_is_a_batch_of_its_own_unless_one_is_named(books: Books) -> None:
    alone, together, own = (direct(books.pool, books.consumed, 1) for _ in range(3))
    load(alone)
    load(together, own.in_batch(UUID(int=8)), batch=UUID(int=7))

    assert Transfer.objects.get(pk=alone.id).batch == alone.id
    assert Transfer.objects.get(pk=together.id).batch == UUID(int=7)
    assert Transfer.objects.get(pk=own.id).batch == UUID(int=8)


def test_nothing_to_import_is_nothing(books: Books) -> None:
    assert load() == 0


@pytest.mark.parametrize(
    ("refusal", "bad"),
    [
        (errors.InsufficientBalance, lambda books: direct(books.allocation, books.consumed, 1_000)),
        (errors.UnitMismatch, lambda books: direct(books.pool, books.other_consumed, 1)),
        (errors.AccountUnknown, lambda books: direct(books.pool, 0, 1)),
        (errors.HoldUnknown, lambda books: void(UUID(int=1))),
        (errors.InvalidEntry, lambda books: direct(books.pool, books.consumed, 0)),
    ],
)
def test_one_bad_row_refuses_the_whole_import(books: Books, refusal, bad) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(refusal):
        load(direct(books.pool, books.consumed, 1), bad(books))

    assert totals(books.consumed) == (0, 0, 0, 0)
    assert staged() == 0


def test_the_same_id_with_other_fields_is_an_error(books: Books) -> None:
    row = direct(books.pool, books.consumed, 1)
    load(row)

    with pytest.raises(errors.IdempotencyConflict):
        load(direct(books.pool, books.consumed, 2, id=row.id))


def test_rows_that_fail_half_way_leave_nothing(books: Books) -> None:
    def rows() -> Iterator[Entry]:
        yield direct(books.pool, books.consumed, 1)
        raise RuntimeError("the file ends here")

    with pytest.raises(RuntimeError, match="the file ends here"):
        transfers_import(rows=rows(), booked_at=BOOKED_AT, actor="tests")

    assert totals(books.consumed) == (0, 0, 0, 0)
    assert staged() == 0
    book(direct(books.pool, books.consumed, 1))  # the caller's transaction goes on


def test_reasons_with_tabs_quotes_and_backslashes_arrive_as_they_are(books: Books) -> None:
    reason = "job 'a\\N'\t\"b\"\nấn định"
    row = direct(books.pool, books.consumed, 1)
    odd = Entry.direct(
        id=row.id, debit=books.pool, credit=books.consumed, amount=1, reason=reason, event_at=row.event_at
    )

    load(odd)
    (again,) = book(odd)

    assert again.reason == reason
    assert Transfer.objects.get(pk=odd.id).reason == reason
