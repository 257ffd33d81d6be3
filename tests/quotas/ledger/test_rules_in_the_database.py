"""The rules hold for raw SQL, for the owner of the tables and for the processes' role."""

import uuid
from collections.abc import Callable

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction

from quotas.ledger.models import Account, Transfer
from quotas.ledger.services import account_create, accounts_lock, transfers_import, verification_run
from tests.quotas.ledger.making import BOOKED_AT, EVENT_AT, H100, Books, book, direct, free, hold, post, totals, void

INSERT = """
INSERT INTO ledger_transfer (id, kind, debit_id, credit_id, amount, resolves_id, batch, reason, event_at, booked_at,
                             expires_at, actor)
VALUES (%(id)s, %(kind)s, %(debit)s, %(credit)s, %(amount)s, %(resolves)s, %(id)s, 'raw', %(at)s, %(at)s,
        %(expires_at)s, 'psql')
"""


def insert(books: Books, **changed: object) -> None:
    """A correct transfer by hand, less what is changed in it."""
    row = {
        "id": uuid.uuid4(),
        "kind": "direct",
        "debit": books.allocation.pk,
        "credit": books.consumed.pk,
        "amount": 10,
        "resolves": None,
        "at": EVENT_AT,
        "expires_at": None,
    }
    with connection.cursor() as cursor:
        cursor.execute(INSERT, row | changed)


def broken_rule(books: Books, **changed: object) -> str:
    """The name of the constraint that refuses it."""
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        insert(books, **changed)
    assert isinstance(refused.value.__cause__, psycopg.Error)
    return refused.value.__cause__.diag.constraint_name or ""


@pytest.fixture
def held(books: Books) -> Transfer:
    (transfer,) = book(hold(books.allocation, books.consumed, 30))
    return transfer


def test_a_raw_insert_by_the_owner_moves_the_totals_too(books: Books) -> None:
    insert(books)

    assert totals(books.allocation) == (0, 10, 0, 100)


def test_many_rows_in_one_insert_are_one_update_per_account(books: Books) -> None:
    updated = "SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'ledger_account'"
    with connection.cursor() as cursor:
        cursor.execute(updated)
        (before,) = cursor.fetchone()
        cursor.execute(
            "INSERT INTO ledger_transfer (id, kind, debit_id, credit_id, amount, batch, reason, event_at, booked_at,"
            " actor) SELECT gen_random_uuid(), 'direct', %s, %s, 1, gen_random_uuid(), 'raw', %s, %s, 'psql'"
            " FROM generate_series(1, 50)",
            [books.allocation.pk, books.consumed.pk, EVENT_AT, BOOKED_AT],
        )
        cursor.execute(updated)
        (after,) = cursor.fetchone()

    assert totals(books.allocation) == (0, 50, 0, 100)
    assert after - before == 2


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ("ledger_transfer_amount", {"amount": 0}),
        ("ledger_transfer_amount", {"amount": -5}),
        ("ledger_transfer_amount", {"kind": "hold", "amount": 0}),
        ("ledger_transfer_kind", {"kind": "loan"}),
        ("ledger_transfer_kind", {"kind": "post"}),
        ("ledger_transfer_kind", {"kind": "void"}),
        ("ledger_transfer_account", {"debit": 0}),
        ("ledger_transfer_account", {"credit": 0}),
        ("ledger_transfer_expires", {"expires_at": BOOKED_AT}),
        ("ledger_account_balance", {"amount": 101}),
        ("ledger_account_balance", {"kind": "hold", "amount": 101}),
    ],
)
def test_a_broken_rule_has_a_name(books: Books, rule: str, changed: dict[str, object]) -> None:
    assert broken_rule(books, **changed) == rule


def test_the_rules_about_two_accounts(books: Books) -> None:
    assert broken_rule(books, credit=books.allocation.pk) == "ledger_transfer_two_accounts"
    assert broken_rule(books, credit=books.other_consumed.pk) == "ledger_transfer_unit"


def test_the_rules_about_a_hold(books: Books, held: Transfer) -> None:
    assert broken_rule(books, kind="post", resolves=held.pk, amount=31) == "ledger_transfer_post_within_hold"
    assert broken_rule(books, kind="post", resolves=held.pk, amount=-1) == "ledger_transfer_amount"
    assert broken_rule(books, kind="void", resolves=held.pk, amount=29) == "ledger_transfer_void_whole_hold"
    assert broken_rule(books, kind="void", resolves=held.pk, amount=0) == "ledger_transfer_amount"
    assert broken_rule(books, kind="post", resolves=uuid.uuid4(), amount=1) == "ledger_transfer_hold"
    assert broken_rule(books, kind="direct", resolves=held.pk) == "ledger_transfer_kind"
    other = broken_rule(books, kind="post", resolves=held.pk, amount=1, debit=books.pool.pk)
    assert other == "ledger_transfer_same_accounts"


def test_a_hold_is_resolved_once_and_an_id_used_once(books: Books, held: Transfer) -> None:
    insert(books, kind="post", resolves=held.pk, amount=0)

    assert broken_rule(books, kind="void", resolves=held.pk, amount=30) == "ledger_transfer_resolves"
    assert broken_rule(books, id=held.pk) == "ledger_transfer_pkey"


# --- what can never be done ---------------------------------------------------------------------------------------

FORBIDDEN = [
    "UPDATE ledger_transfer SET amount = 1",
    "UPDATE ledger_transfer SET amount = 1 WHERE false",
    "DELETE FROM ledger_transfer",
    "TRUNCATE ledger_transfer",
    "UPDATE ledger_account SET credits_posted = 10",
    "UPDATE ledger_account SET may_overdraw = true",
    "DELETE FROM ledger_account",
    "TRUNCATE ledger_account CASCADE",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_owner_cannot(books: Books, statement: str) -> None:
    with pytest.raises(IntegrityError, match="is refused"), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        *FORBIDDEN,
        "INSERT INTO ledger_transfer SELECT * FROM ledger_transfer",
        "SELECT * FROM ledger_account FOR UPDATE",
        "SELECT * FROM ledger_staging",
        "ALTER TABLE ledger_transfer DISABLE TRIGGER ALL",
        "SELECT ledger_entries_book('{}', now(), 'x')",
        "DROP TRIGGER ledger_transfer_append_only ON ledger_transfer",
    ],
)
def test_the_processes_role_cannot(books: Books, as_role: Callable[[str], None], statement: str) -> None:
    as_role("saola_app")
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_processes_role_books_through_the_functions(books: Books, as_role: Callable[[str], None]) -> None:
    as_role("saola_app")

    made = account_create(unit=H100, kind=Account.Kind.ALLOCATION, owner="allocation:9")
    (held,) = book(hold(books.allocation, books.consumed, 30))
    book(post(held.pk, 3))
    (held,) = book(hold(books.allocation, books.consumed, 30))
    book(void(held.pk))
    transfers_import(rows=[direct(books.pool, made, 7)], booked_at=BOOKED_AT, actor="tests")
    accounts_lock(account_ids=[made.pk])

    assert (free(books.allocation), free(made)) == (97, 7)
    assert verification_run(at=BOOKED_AT).ok


def test_the_functions_search_path_cannot_be_turned_against_them(books: Books, as_role: Callable[[str], None]) -> None:
    """A SECURITY DEFINER function that looked into the caller's path could be given the caller's tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.proname FROM pg_proc p WHERE p.prosecdef AND p.proname LIKE 'ledger%'"
            " AND NOT 'search_path=public, pg_temp' = ANY (p.proconfig)"
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM pg_proc WHERE prosecdef AND proname LIKE 'ledger%'")
        assert cursor.fetchone() == (4,)


@pytest.mark.parametrize("total", ["debits_pending", "debits_posted", "credits_pending", "credits_posted"])
def test_an_account_begins_empty(db: None, total: str) -> None:
    with pytest.raises(IntegrityError, match="begins with zero"):
        Account.objects.create(unit=H100, kind=Account.Kind.SOURCE, owner="x", may_overdraw=True, **{total: 1})


@pytest.mark.parametrize("kind", sorted(set(Account.Kind.values) - {"source", "overrun", "contribution"}))
def test_other_kinds_may_not_overdraw(db: None, kind: str) -> None:
    with pytest.raises(IntegrityError, match="only source, overrun and contribution"):
        account_create(unit=H100, kind=kind, owner="x", may_overdraw=True)


def test_a_sum_beyond_64_bits_is_refused(books: Books) -> None:
    book(direct(books.source, books.pool, 2**62))

    with pytest.raises(DatabaseError, match="out of range"):
        book(direct(books.source, books.pool, 2**62))
