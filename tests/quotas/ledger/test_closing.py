"""A closed period takes no more transfers, whoever books them and whatever was under way while it closed."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.db.transaction import TransactionManagementError

from portal.locks import LockSpace
from quotas.ledger.errors import ClosedFurther, LedgerBusy, PeriodClosed
from quotas.ledger.models import Transfer
from quotas.ledger.selectors import closed_until
from quotas.ledger.services import accounts_lock, booking_stop, ledger_close, transfers_import
from tests.quotas.ledger.making import Books, assert_adds_up, book, books_make, direct, totals

UNTIL = datetime(2026, 3, 31, 17, 0, tzinfo=UTC)  # midnight in Ho Chi Minh City
BEFORE = UNTIL - timedelta(microseconds=1)


def close(until: datetime = UNTIL) -> None:
    with transaction.atomic():
        booking_stop()
        ledger_close(until=until, closed_at=until, actor="tests")


@pytest.fixture
def open_again(committed: None) -> Iterator[None]:
    yield
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_closing DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM ledger_closing")
        cursor.execute("ALTER TABLE ledger_closing ENABLE TRIGGER USER")


def test_a_closed_period_takes_no_transfer_and_the_next_one_does(books: Books) -> None:
    assert closed_until() is None
    close()

    with pytest.raises(PeriodClosed):
        book(direct(books.pool, books.allocation, 1), booked_at=BEFORE)
    with pytest.raises(PeriodClosed):
        transfers_import(rows=[direct(books.pool, books.allocation, 1)], booked_at=BEFORE, actor="tests")
    book(direct(books.pool, books.allocation, 1), booked_at=UNTIL)

    assert closed_until() == UNTIL
    assert totals(books.allocation) == (0, 0, 0, 101)


@pytest.mark.parametrize("space", [space for space in LockSpace if space != LockSpace.BOOKING])
def test_only_closing_makes_a_booking_wait(books: Books, space: LockSpace) -> None:
    """Locks are numbers: a cycle's, held while it asks Slurm, was once the number of this one."""
    other = connection.copy()
    try:
        with other.cursor() as theirs, connection.cursor() as ours:
            theirs.execute("SELECT pg_try_advisory_lock(%s, 1)", [space])
            assert theirs.fetchone() == (True,)
            ours.execute("SET LOCAL lock_timeout = '1s'")
            book(direct(books.pool, books.allocation, 1))
    finally:
        other.close()


def test_a_replay_of_what_a_closed_period_has_is_answered(books: Books) -> None:
    entry = direct(books.pool, books.allocation, 1)
    (stored,) = book(entry)
    close()

    assert book(entry) == [stored]


def test_between_stopping_and_closing_the_one_who_closes_may_book(books: Books) -> None:
    with transaction.atomic():
        booking_stop()
        book(direct(books.pool, books.allocation, 1), booked_at=BEFORE)
        ledger_close(until=UNTIL, closed_at=UNTIL, actor="tests")

    assert totals(books.allocation) == (0, 0, 0, 101)


def test_closing_goes_forward_only(books: Books) -> None:
    close()
    with pytest.raises(ClosedFurther):
        close(BEFORE)
    close(UNTIL + timedelta(days=30))
    with connection.cursor() as cursor, pytest.raises(Exception, match="what is closed stays closed"):
        cursor.execute("DELETE FROM ledger_closing")


def test_closing_belongs_to_a_transaction(committed: None) -> None:
    with pytest.raises(TransactionManagementError):
        booking_stop()
    with pytest.raises(TransactionManagementError):
        ledger_close(until=UNTIL, closed_at=UNTIL, actor="tests")


def test_a_row_inserted_by_hand_is_refused_too(books: Books) -> None:
    close()
    (known,) = book(direct(books.pool, books.allocation, 1), booked_at=UNTIL)
    with connection.cursor() as cursor, pytest.raises(Exception, match="ledger_transfer_open_period"):
        cursor.execute(
            "INSERT INTO ledger_transfer SELECT %s, kind, amount, batch, reason, event_at, %s, expires_at, actor,"
            " credit_id, debit_id, resolves_id FROM ledger_transfer WHERE id = %s",
            [uuid4(), BEFORE, known.pk],
        )


def test_a_process_can_close_but_not_open(books: Books, as_role: Callable[[str], None]) -> None:
    as_role("saola_app")
    close()
    with connection.cursor() as cursor, pytest.raises(Exception, match="permission denied"):
        cursor.execute("UPDATE ledger_closing SET until = '2020-01-01'")


def test_a_booking_never_looks_at_an_old_snapshot(open_again: None) -> None:
    books = books_make()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(Exception, match="READ COMMITTED") as refused:
            book(direct(books.pool, books.allocation, 1))
    assert isinstance(refused.value.__cause__, psycopg.Error)


def test_who_closes_does_not_make_everybody_wait_for_a_long_batch(open_again: None) -> None:
    books = books_make()
    under_way, over = threading.Event(), threading.Event()

    def long_batch() -> None:
        try:
            with transaction.atomic():
                book(direct(books.pool, books.allocation, 1))
                under_way.set()
                over.wait(timeout=30)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(long_batch)
        assert under_way.wait(timeout=30)
        with pytest.raises(LedgerBusy), transaction.atomic():
            booking_stop(wait_s=1)
        over.set()
        done.result()
    close()


CLIENTS = 7


def test_no_transfer_lands_in_a_period_after_its_close(open_again: None) -> None:  # noqa: C901  two small programs
    """Seven clients book in the order of the months, each into the newest that it takes for open, some of them with
    accounts locked long before; another closes month after month and writes down what each holds. It stays so."""
    books = books_make(pool=1_000_000)
    months = [UNTIL + timedelta(days=30 * number) for number in range(12)]
    started, finished = threading.Barrier(CLIENTS + 1), threading.Event()
    refused: list[int] = [0] * CLIENTS
    landed: list[int] = [0] * CLIENTS
    at_close: dict[datetime, int] = {}

    def held_before(until: datetime) -> int:
        return Transfer.objects.filter(booked_at__lt=until).aggregate(sum=Sum("amount"))["sum"]

    def client(number: int) -> None:
        chance, month = random.Random(number), 0
        connection.ensure_connection()
        started.wait(timeout=60)
        try:
            while not finished.is_set():
                moment = months[month] - timedelta(seconds=chance.randint(1, 3_600))
                try:
                    with transaction.atomic():
                        if chance.random() < 0.3:
                            accounts_lock(account_ids=[books.allocation.pk, books.pool.pk])
                        book(direct(books.pool, books.allocation, chance.randint(1, 3)), booked_at=moment)
                        if chance.random() < 0.3:
                            time.sleep(0.005)  # booked, and not committed yet
                    landed[number] += 1
                except PeriodClosed:
                    refused[number] += 1
                    month = min(month + 1, len(months) - 1)
        finally:
            connection.close()

    def closer() -> None:
        connection.ensure_connection()
        started.wait(timeout=60)
        try:
            for number, until in enumerate(months[:-1], start=1):
                while sum(landed) < 20 * number:  # something is under way in each month
                    time.sleep(0.001)
                with transaction.atomic():
                    booking_stop(wait_s=30)
                    if number % 3 == 0:  # it books too, on accounts that all want: nobody waits in a circle
                        book(direct(books.pool, books.consumed, 1), booked_at=until - timedelta(microseconds=1))
                    ledger_close(until=until, closed_at=until, actor="tests")
                    at_close[until] = held_before(until)
        finally:
            finished.set()
            connection.close()

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        for done in [pool.submit(client, number) for number in range(CLIENTS)] + [pool.submit(closer)]:
            done.result()

    assert len(at_close) == len(months) - 1
    assert at_close == {until: held_before(until) for until in at_close}
    assert min(refused) > 0, refused  # each of them was told, and went on in the next month
    assert_adds_up()
