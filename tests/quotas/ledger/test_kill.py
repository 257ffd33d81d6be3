"""A process that books is killed with -9 at random moments; so is its connection. Each batch is whole or absent, what
was acknowledged is there, and going through everything once more completes it without booking anything twice."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from uuid import UUID, uuid5

import pytest
from django.db import OperationalError, connection, connections, transaction

from quotas.ledger.models import Transfer
from quotas.ledger.services import Entry, accounts_lock, transfers_import
from tests.quotas.ledger.making import (
    BOOKED_AT,
    Books,
    assert_adds_up,
    book,
    books_make,
    direct,
    hold,
    post,
    totals,
    void,
)

pytestmark = pytest.mark.usefixtures("committed")
SOAK = "SOAK" in os.environ
KILLS = 200 if SOAK else 8
STEPS = 100_000  # more than a client can do before it is killed
KEYS = UUID("6c657467-6572-4000-8000-000000000000")


@dataclass(frozen=True)
class Step:
    """What a client books at once; the same number always makes the same step."""

    entries: list[Entry]
    how: str  # one batch, several in one transaction, or an import

    def run(self) -> None:
        if self.how == "import":
            transfers_import(rows=self.entries, booked_at=BOOKED_AT, actor="tests")
        elif self.how == "transaction":
            with transaction.atomic():
                accounts_lock(account_ids={entry.debit_id or 0 for entry in self.entries} | {self.entries[0].credit_id})
                for entry in self.entries:
                    book(entry)
        else:
            book(*self.entries)


def key(client: int, number: int, name: str) -> UUID:
    return uuid5(KEYS, f"{client}:{number}:{name}")


def step(books: Books, client: int, number: int) -> Step:
    """A day of the accounts: two jobs are submitted, those of the step before end, and someone is granted more."""
    submitted = [
        hold(books.allocation, books.consumed, 5, id=key(client, number, "first")),
        hold(books.allocation, books.consumed, 3, id=key(client, number, "second")),
        direct(books.pool, books.allocation, 4, id=key(client, number, "grant")),
    ]
    ended = [
        post(key(client, number - 1, "first"), 4, id=key(client, number, "ran")),
        void(key(client, number - 1, "second"), id=key(client, number, "cancelled")),
    ]
    how = ["batch", "transaction", "import"][number % 3]
    return Step(submitted + (ended if number else []), how)


def client(books: Books, number_of_client: int, acknowledged: Connection) -> None:
    connection.connect()  # its own, whatever was open when it was forked
    with connection.cursor() as cursor:
        cursor.execute("SET application_name = 'ledger client'")
    for number in range(STEPS):
        step(books, number_of_client, number).run()
        acknowledged.send(number)


def started(books: Books, number: int) -> tuple[multiprocessing.Process, Connection]:
    """Start a client in a process of its own. Its parent has no open connection that it could inherit."""
    connections.close_all()
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=client, args=(books, number, sending))
    process.start()
    sending.close()
    return process, receiving  # type: ignore[return-value]


def last_acknowledged(receiving: Connection) -> int:
    last = -1
    try:
        while receiving.poll():
            last = receiving.recv()
    except EOFError:
        pass
    return last


def wait_for_orphans() -> None:
    """A statement that was under way when its client died goes on to its end in the server."""
    until = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name = 'ledger client'"
            )
            if cursor.fetchone() == (0,):
                return
            time.sleep(0.02)
    raise TimeoutError("the killed client's connection is still there")


def assert_each_step_is_whole_or_absent(books: Books, client_number: int) -> int:
    """Answers how many are there; they are the first ones, without a gap."""
    stored = set(Transfer.objects.values_list("pk", flat=True))
    for number in range(STEPS):
        ids = {entry.id for entry in step(books, client_number, number).entries}
        if not ids & stored:
            return number
        assert ids <= stored, f"step {number} is there in part"
    raise AssertionError("the client came to its end")


def assert_completes(books: Books, client_number: int, steps: int) -> None:
    """Replay everything that is there and three steps more: the outcome of a client that was never killed."""
    for number in range(steps + 3):
        step(books, client_number, number).run()
    done = steps + 3
    assert Transfer.objects.count() == 3 + 3 * done + 2 * (done - 1)
    assert totals(books.allocation) == (8, 4 * (done - 1), 0, 1_000 + 4 * done)
    assert totals(books.consumed) == (0, 0, 8, 4 * (done - 1))
    assert_adds_up()


def run_and_stop(stop: Callable[[multiprocessing.Process], None]) -> None:
    """One client, stopped at a random moment of its work, and what must be true afterwards."""
    books = books_make(pool=10_000_000, allocation=1_000)
    process, receiving = started(books, 1)
    receiving.poll(timeout=60)
    time.sleep(random.uniform(0, 0.15))
    stop(process)
    process.join(timeout=60)
    acknowledged = last_acknowledged(receiving)
    wait_for_orphans()

    steps = assert_each_step_is_whole_or_absent(books, 1)
    assert acknowledged < steps
    assert steps - acknowledged <= 2  # at most the one under way was booked without being acknowledged
    assert_adds_up()
    assert_completes(books, 1, steps)


@pytest.mark.parametrize("attempt", range(KILLS))
def test_kill_9(attempt: int) -> None:
    run_and_stop(lambda process: os.kill(process.pid or 0, signal.SIGKILL))


@pytest.mark.parametrize("attempt", range(KILLS // 4))
def test_a_connection_cut_by_the_server(attempt: int) -> None:
    """What a client sees when PostgreSQL restarts: an error that is not the ledger's."""

    def cut(process: multiprocessing.Process) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )

    run_and_stop(cut)


def test_a_cut_connection_is_not_taken_for_a_refusal() -> None:
    books = books_make()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()

    with pytest.raises(OperationalError):
        book(direct(books.source, books.pool, 1))
    connections.close_all()

    assert totals(books.pool) == (0, 0, 0, 1_000)
