"""Eight clients at once on real PostgreSQL: no deadlock, no drift, nobody below zero, and each id booked once."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from quotas.ledger import errors
from quotas.ledger.errors import LedgerError
from quotas.ledger.models import Account, Transfer
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, accounts_lock, transfers_import
from tests.quotas.ledger.making import (
    BOOKED_AT,
    H100,
    assert_adds_up,
    book,
    books_make,
    direct,
    free,
    hold,
    post,
    totals,
    void,
)

pytestmark = pytest.mark.usefixtures("committed")
CLIENTS = 8
BATCHES = 2_000 if "SOAK" in os.environ else 60  # of each client


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Share the calls out to eight threads, each with a connection of its own, let loose at one moment.

    A refusal by the ledger is an answer; anything else (a deadlock, say) fails the test.
    """
    answers: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(CLIENTS)

    def client(first: int) -> None:
        connection.ensure_connection()
        barrier.wait(timeout=60)
        try:
            for number in range(first, len(calls), CLIENTS):
                try:
                    answers[number] = calls[number]()
                except LedgerError as refused:
                    answers[number] = refused
        finally:
            connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client, first) for first in range(CLIENTS)]:
            done.result()
    return answers


@contextmanager
def no_deadlock() -> Iterator[None]:
    """PostgreSQL counts them itself, those that a retry would have hidden too."""

    def deadlocks() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            return cursor.fetchone()[0]

    before = deadlocks()
    yield
    assert deadlocks() == before


class RandomClient:
    """Books random batches over a few accounts that everybody uses, named in any order."""

    def __init__(self, seed: int, accounts: list[Account], booked: list[Entry]) -> None:
        self.chance, self.accounts = random.Random(seed), accounts
        self.booked = booked  # by all clients together; appending to a list is atomic

    def run(self) -> int:
        """Answers how many batches were not refused."""
        done = 0
        for _ in range(BATCHES):
            entries = [self.entry() for _ in range(self.chance.randint(1, 5))]
            try:
                self.send(entries)
            except LedgerError:
                continue
            self.booked.extend(entries)
            done += 1
        return done

    def entry(self) -> Entry:
        chance = self.chance
        debit, credit = chance.sample(self.accounts, 2)
        holds = [known.id for known in self.booked[-60:] if known.kind == "hold"]
        kinds = ["direct", "hold", "hold"] + (["post", "post", "void", "replay"] if holds else [])
        match chance.choice(kinds):
            case "direct":
                return direct(debit, credit, chance.randint(1, 20))
            case "hold":
                return hold(debit, credit, chance.randint(1, 20))
            case "post":
                return post(chance.choice(holds), chance.randint(0, 5))
            case "void":
                return void(chance.choice(holds))
            case _:
                return chance.choice(self.booked)

    def send(self, entries: list[Entry]) -> None:
        way = self.chance.randrange(10)
        if way == 0:
            transfers_import(rows=entries, booked_at=BOOKED_AT, actor="tests")
        elif way == 1:
            with transaction.atomic():
                accounts_lock(account_ids=[account.pk for account in self.accounts])
                for one in entries:
                    book(one)
        else:
            book(*entries)


def test_random_batches_from_eight_clients() -> None:
    """Holds, posts, voids, direct transfers, imports, several batches in one transaction, replays of anyone's."""
    books = books_make(pool=10_000, allocation=500)
    accounts = [books.source, books.pool, books.allocation, books.consumed, books.overrun]
    accounts += [account_create(unit=H100, kind=Account.Kind.ALLOCATION, owner=f"allocation:{n}") for n in range(3)]
    book(*(direct(books.source, account, 200) for account in accounts[5:]))
    booked: list[Entry] = []

    with no_deadlock():
        done = together(*(RandomClient(seed, accounts, booked).run for seed in range(CLIENTS)))

    assert min(done) > BATCHES / 10, done  # many batches are refused for something; enough are not
    ids = {entry.id for entry in booked}
    assert Transfer.objects.filter(pk__in=ids).count() == len(ids)
    guarded = [account.pk for account in accounts if not account.may_overdraw]
    assert min(balance.free for balance in balances(guarded).values()) >= 0
    assert_adds_up()


def test_batches_that_name_the_same_accounts_in_opposite_orders() -> None:
    """Locks taken in the order of the entries would deadlock here within a few rounds."""
    books = books_make()
    ring = [account_create(unit=H100, kind=Account.Kind.VOUCHER, owner=f"voucher:{n}") for n in range(6)]
    book(*(direct(books.source, account, 10_000) for account in ring))
    forth = [(ring[n], ring[n - 1]) for n in range(6)]

    def client(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(BATCHES):
            pairs = chance.sample(forth, 6)
            book(*(direct(*(pair if chance.random() < 0.5 else pair[::-1]), 1) for pair in pairs))

    with no_deadlock():
        together(*(lambda seed=seed: client(seed) for seed in range(CLIENTS)))

    assert_adds_up()


def test_forty_holds_against_a_balance_for_ten() -> None:
    books = books_make(allocation=100)

    answers = together(*(lambda: book(hold(books.allocation, books.consumed, 10)) for _ in range(40)))

    assert sum(isinstance(answer, list) for answer in answers) == 10
    assert sum(isinstance(answer, errors.InsufficientBalance) for answer in answers) == 30
    assert totals(books.allocation) == (100, 0, 0, 100)
    assert_adds_up()


def test_concurrent_replays_of_one_batch_book_it_once_and_all_answer_it() -> None:
    books = books_make()
    for _ in range(20):
        entries = [hold(books.allocation, books.consumed, 1), direct(books.pool, books.allocation, 1)]

        answers = together(*(lambda entries=entries: book(*entries) for _ in range(CLIENTS)))

        assert all(answer == answers[0] for answer in answers)
        assert [transfer.pk for transfer in answers[0]] == [entry.id for entry in entries]
    assert totals(books.allocation) == (20, 0, 0, 120)
    assert_adds_up()


def test_concurrent_forgeries_of_one_id_have_one_winner() -> None:
    """Also where the accounts differ, so that no lock stands between them."""
    books = books_make()
    sides = [(books.allocation, books.consumed), (books.pool, books.overrun), (books.source, books.pool)]
    for _ in range(20):
        entry_id = uuid4()
        entries = [direct(*sides[n % 3], 1 + n, id=entry_id) for n in range(CLIENTS)]

        answers = together(*(lambda entry=entry: book(entry) for entry in entries))

        assert sum(isinstance(answer, list) for answer in answers) == 1
        assert sum(isinstance(answer, errors.IdempotencyConflict) for answer in answers) == CLIENTS - 1
    assert_adds_up()


def test_a_hold_that_everybody_resolves_is_resolved_once() -> None:
    books = books_make()
    for _ in range(20):
        (held,) = book(hold(books.allocation, books.consumed, 10))
        resolve: list[Entry] = [post(held.pk, n) if n % 2 else void(held.pk) for n in range(CLIENTS)]

        answers = together(*(lambda entry=entry: book(entry) for entry in resolve))

        assert sum(isinstance(answer, list) for answer in answers) == 1
        assert sum(isinstance(answer, errors.HoldAlreadyResolved) for answer in answers) == CLIENTS - 1
        book(direct(books.pool, books.allocation, 10))
    assert totals(books.allocation)[0] == 0
    assert_adds_up()


def test_who_holds_the_lock_decides_on_a_balance_that_stays() -> None:
    """Read under the lock, then book what is left: never refused, and together they take exactly everything."""
    books = books_make(allocation=100)

    def take(amount: int) -> int:
        with transaction.atomic():
            left = accounts_lock(account_ids=[books.allocation.pk, books.consumed.pk])[books.allocation.pk].free
            taken = min(amount, left)
            if taken:
                book(direct(books.allocation, books.consumed, taken))
        return taken

    answers = together(*(lambda: take(30) for _ in range(CLIENTS)))

    assert sorted(answers, reverse=True) == [30, 30, 30, 10, 0, 0, 0, 0]
    assert free(books.allocation) == 0


def test_an_import_beside_eight_clients() -> None:
    books = books_make(pool=100_000, allocation=50_000)
    imported = [direct(books.pool, books.consumed, 1, id=UUID(int=n + 1)) for n in range(2_000)]

    def clients(seed: int) -> int:
        for _ in range(BATCHES):
            (held,) = book(hold(books.allocation, books.consumed, 2))
            book(post(held.pk, 1))
        return BATCHES

    with no_deadlock():
        together(
            lambda: transfers_import(rows=iter(imported), booked_at=BOOKED_AT, actor="tests"),
            *(lambda seed=seed: clients(seed) for seed in range(CLIENTS - 1)),
        )

    assert totals(books.consumed) == (0, 0, 0, 2_000 + BATCHES * (CLIENTS - 1))
    assert Transfer.objects.filter(debit=books.pool).count() == 2_000
    assert_adds_up()
