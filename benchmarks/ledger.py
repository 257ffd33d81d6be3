"""Ledger transfers per second, beside a plain SQL transfer loop in the same run.

    .venv/bin/python -m benchmarks.ledger [--seconds 3] [--rounds 5] [--clients 8]

Prints one line a figure: name value unit aim. Works in a database of its own on the server of DATABASE_URL, whose role
must be allowed to create one, and drops it at the end.

Two programs without a ledger stand beside it. The *plain* loop is the usual one: begin, two UPDATEs of a balance, one
INSERT with the same facts, commit. The *function* loop is the fastest one: the same three statements inside one SQL
function, called in autocommit, so that no lock outlives a round trip. Neither has reservations, totals of four kinds,
replay or a guard against deadlocks. A pair is two such transfers there, a hold and its post here, each in a transaction
of its own. "requeue" is the pair as a requeued job books it: the post of one run and the next hold, in one batch.
Rounds of all alternate, so that a busy machine is busy for all; a ratio is the median of the rounds' ratios.
"""

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection, connections  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from quotas.ledger.models import Account  # noqa: E402
from quotas.ledger.services import Entry, account_create, transfers_book, transfers_import  # noqa: E402
from quotas.ledger.verification import ledger_findings  # noqa: E402

PLAIN = """
CREATE TABLE plain_account (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
CREATE TABLE plain_transfer (id uuid PRIMARY KEY, debit_id bigint NOT NULL, credit_id bigint NOT NULL,
    amount bigint NOT NULL, reason text NOT NULL, booked_at timestamptz NOT NULL, actor text NOT NULL);
CREATE FUNCTION plain_book(id uuid, debit_id bigint, credit_id bigint, amount bigint, reason text,
                           booked_at timestamptz, actor text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE plain_account a SET balance = balance - plain_book.amount WHERE a.id = plain_book.debit_id;
    UPDATE plain_account a SET balance = balance + plain_book.amount WHERE a.id = plain_book.credit_id;
    INSERT INTO plain_transfer VALUES (id, debit_id, credit_id, amount, reason, booked_at, actor);
END $$;
INSERT INTO plain_account SELECT id, 1000000000000 FROM ledger_account;
"""
UNIT = "gpu:h100"
HOLD_GPU_SECONDS = 3_600
IMPORT_ROWS = 50_000
Pairs = list[tuple[int, int]]
Book = Callable[[int, int], None]


def hold(debit: int, credit: int, moment: datetime) -> Entry:
    return Entry.hold(
        id=uuid4(), debit=debit, credit=credit, amount=HOLD_GPU_SECONDS, reason="job 1 submitted", event_at=moment
    )


def post(held: Entry, moment: datetime) -> Entry:
    return Entry.post(id=uuid4(), resolves=held.id, amount=1, reason="job 1 ran", event_at=moment)


def book_pair(debit: int, credit: int) -> None:
    """A job: a hold when it is submitted, a post when it has run."""
    moment = datetime.now(tz=UTC)
    held = hold(debit, credit, moment)
    transfers_book(entries=[held], booked_at=moment, actor="bench")
    transfers_book(entries=[post(held, moment)], booked_at=moment, actor="bench")


def book_requeue() -> Book:
    """A job that is requeued again and again: its run is posted and the next one held for, in one batch."""
    running: dict[int, Entry] = {}

    def book(debit: int, credit: int) -> None:
        moment = datetime.now(tz=UTC)
        held, before = hold(debit, credit, moment), running.get(debit)
        entries = [post(before, moment), held] if before else [held]
        transfers_book(entries=entries, booked_at=moment, actor="bench")
        running[debit] = held

    return book


def book_plain_pair(debit: int, credit: int) -> None:
    plain = connection.connection
    for _ in range(2):
        with plain.transaction():
            plain.execute("UPDATE plain_account SET balance = balance - %s WHERE id = %s", [1, debit])
            plain.execute("UPDATE plain_account SET balance = balance + %s WHERE id = %s", [1, credit])
            plain.execute(
                "INSERT INTO plain_transfer VALUES (%s, %s, %s, %s, %s, %s, %s)", plain_transfer(debit, credit)
            )


def book_function_pair(debit: int, credit: int) -> None:
    for _ in range(2):
        connection.connection.execute("SELECT plain_book(%s, %s, %s, %s, %s, %s, %s)", plain_transfer(debit, credit))


def plain_transfer(debit: int, credit: int) -> list[object]:
    return [uuid4(), debit, credit, 1, "job 1 ran", datetime.now(tz=UTC), "bench"]


def client(seed: int, book: Book, pairs: Pairs, barrier: object, until_s: float, result: object) -> None:
    chance = random.Random(seed)
    connection.ensure_connection()
    barrier.wait()  # type: ignore[attr-defined]
    booked = 0
    started = time.monotonic()
    while time.monotonic() - started < until_s:
        book(*chance.choice(pairs))
        booked += 2
    result.put(booked / (time.monotonic() - started))  # type: ignore[attr-defined]
    connection.close()


def rate(book: Book, pairs: Pairs, clients: int, seconds: float) -> float:
    """Transfers per second of that many client processes together."""
    connections.close_all()
    context = multiprocessing.get_context("fork")
    barrier, result = context.Barrier(clients), context.Queue()
    processes = [
        context.Process(target=client, args=(seed, book, pairs, barrier, seconds, result)) for seed in range(clients)
    ]
    for process in processes:
        process.start()
    rates = [result.get(timeout=seconds + 60) for _ in processes]
    for process in processes:
        process.join()
    return sum(rates)


def allocations_make(count: int) -> Pairs:
    """Allocations with ample grants, each with its own consumed account."""
    source = account_create(unit=UNIT, kind=Account.Kind.SOURCE, owner="bench", may_overdraw=True)
    pairs = []
    for number in range(count):
        allocation = account_create(unit=UNIT, kind=Account.Kind.ALLOCATION, owner=f"bench:{number}")
        consumed = account_create(unit=UNIT, kind=Account.Kind.CONSUMED, owner=f"bench:{number}")
        pairs.append((allocation.pk, consumed.pk))
    moment = datetime.now(tz=UTC)
    transfers_import(
        rows=[
            Entry.direct(id=uuid4(), debit=source, credit=pair[0], amount=10**12, reason="grant", event_at=moment)
            for pair in pairs
        ],
        booked_at=moment,
        actor="bench",
    )
    return pairs


def import_rate(pairs: Pairs) -> float:
    moment = datetime.now(tz=UTC)
    rows = (
        Entry.direct(
            id=UUID(int=number), debit=pair[0], credit=pair[1], amount=60, reason="imported job 1", event_at=moment
        )
        for number, pair in enumerate(random.Random(1).choices(pairs, k=IMPORT_ROWS))
    )
    started = time.monotonic()
    transfers_import(rows=rows, booked_at=moment, actor="bench")
    return IMPORT_ROWS / (time.monotonic() - started)


def compare(name: str, aim: float, pairs: Pairs, options: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {"ledger": [], "requeue": [], "plain": [], "function": []}
    for _ in range(options.rounds):
        books = (book_pair, book_requeue(), book_plain_pair, book_function_pair)
        for kind, book in zip(rates, books, strict=True):
            rates[kind].append(rate(book, pairs, options.clients, options.seconds))
    for kind, measured in rates.items():
        print(f"ledger_{name}_{kind}_transfers_per_s {statistics.median(measured):.0f} 1/s -")
    for baseline, wanted in (("plain", f">={aim}"), ("function", "-")):
        for kind in ("ledger", "requeue"):
            value = median_ratio(rates[kind], rates[baseline])
            print(f"ledger_{name}_{kind}_of_{baseline} {value:.2f} ratio {wanted}", flush=True)


def median_ratio(rates: list[float], of: list[float]) -> float:
    return statistics.median(mine / theirs for mine, theirs in zip(rates, of, strict=True))


def run(options: argparse.Namespace) -> None:
    pairs = allocations_make(1_000)
    with connection.cursor() as cursor:
        cursor.execute(PLAIN)
        cursor.execute("ANALYZE")
    compare("hot", 1.0, pairs[:1], options)
    compare("1000", 0.4, pairs, options)
    print(f"ledger_import_transfers_per_s {import_rate(pairs):.0f} 1/s >=5000")
    started = time.monotonic()
    found = ledger_findings(at=datetime.now(tz=UTC))
    print(f"ledger_verify_transfers_per_s {found.transfers / (time.monotonic() - started):.0f} 1/s -")
    print(f"ledger_verify_findings {0 if found.ok else 1} count 0")
    connection.close()
    time.sleep(1)  # a backend reports its statistics when it ends
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        print(f"ledger_deadlocks {cursor.fetchone()[0]} count 0")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with own_database("ledger"):
        run(options)


if __name__ == "__main__":
    main()
