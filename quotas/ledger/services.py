"""The one way in. Each call is one round trip to one SQL function (migrations/0002_rules.sql), which locks, inserts and
answers; here entries are written down for it and its refusals get their types."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from django.db import DatabaseError, connection, transaction
from django.db.transaction import TransactionManagementError

from quotas.ledger.entries import Entry
from quotas.ledger.errors import error_from
from quotas.ledger.models import Account, Transfer, Verification
from quotas.ledger.selectors import Balance
from quotas.ledger.verification import Findings, ledger_findings

__all__ = [
    "Entry",
    "account_create",
    "accounts_lock",
    "booking_stop",
    "ledger_close",
    "transfers_book",
    "transfers_import",
    "verification_run",
]

CLOSING_WAIT_S = 5  # everybody who books waits behind one who closes, so that one does not wait for long

_BOOK = "SELECT ledger_book(%s::jsonb, %s::timestamptz, %s)"
_LOCK = "SELECT id, unit, debits_pending, debits_posted, credits_pending, credits_posted FROM ledger_lock(%s)"
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_STAGE = (
    "COPY ledger_staging (import_id, id, kind, debit_id, credit_id, amount, resolves_id, batch, reason, event_at,"
    " expires_at) FROM STDIN"
)


def account_create(*, unit: str, kind: Account.Kind | str, owner: str, may_overdraw: bool = False) -> Account:
    """Make an account with a balance of zero.

    unit: gpu:TYPE (amounts in GPU-seconds) or vnd. Only source, overrun and contribution accounts may overdraw: for
    another kind the database raises IntegrityError.
    """
    return Account.objects.create(unit=unit, kind=kind, owner=owner, may_overdraw=may_overdraw)


def accounts_lock(*, account_ids: Iterable[int]) -> dict[int, Balance]:
    """Lock accounts until the end of the caller's transaction and answer their balances.

    For a caller that must read a balance to know what to book, or that books several batches in one transaction: lock
    every account of all of them here first, once. Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("A lock outside a transaction is gone before it is of use.")
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted(set(account_ids))])
        return {row[0]: Balance(*row) for row in cursor.fetchall()}


def transfers_book(
    *, entries: Sequence[Entry], booked_at: datetime, actor: str, batch: UUID | None = None
) -> list[Transfer]:
    """Book a batch as a whole or not at all, and answer the stored transfers in the order of the entries.

    Amounts are in the accounts' unit; booked_at is the application's clock, aware. A batch without a name bears the
    id of its first entry; an entry may name a batch of its own. Entries that are stored already with the same fields
    are answered as they are stored. Raises the errors of `quotas.ledger.errors`; inside a caller's transaction that
    goes on, nothing of the batch stays. Several batches in one transaction: `accounts_lock` first, else two such
    transactions may deadlock.
    """
    if not entries:
        return []
    _check_aware(booked_at)
    name = batch or entries[0].id
    given = _to_json([_as_json(entry, name) for entry in entries])
    with _refusals(entries), connection.cursor() as cursor:
        cursor.execute(_BOOK, [given, booked_at.isoformat(), actor])
        (new_count,) = cursor.fetchone()
    if new_count < len(entries):
        stored = Transfer.objects.in_bulk([entry.id for entry in entries])
        return [stored[entry.id] for entry in entries]
    return [_stored(entry, name, booked_at, actor) for entry in entries]


def transfers_import(*, rows: Iterable[Entry], booked_at: datetime, actor: str, batch: UUID | None = None) -> int:
    """Book any number of entries in one transaction, set-based; answers how many were new.

    The same rules, locks and errors as `transfers_book`. Rows are copied as they come, so an iterator of any length
    takes little memory here. Without a batch each transfer is its own. A post's or void's hold is booked before.
    """
    _check_aware(booked_at)
    import_id = uuid4()
    with transaction.atomic(), _refusals([]), connection.cursor() as cursor:
        with cursor.copy(_STAGE) as copy:
            for entry in rows:
                copy.write_row(_as_staged(entry, import_id, batch))
        cursor.execute("SELECT ledger_import(%s, %s, %s)", [import_id, booked_at, actor])
        return cursor.fetchone()[0]


def booking_stop(*, wait_s: int = CLOSING_WAIT_S) -> None:
    """Wait for every batch that is under way; until the caller's transaction ends, nobody else books.

    The first half of closing: what belongs at the end of the period is booked after it, then `ledger_close` is called
    in the same transaction. Raises LedgerBusy where a batch takes longer than `wait_s`, TransactionManagementError
    outside a transaction.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("A lock outside a transaction is gone before it is of use.")
    with _refusals([]), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{wait_s}s"])
        cursor.execute("SELECT ledger_booking_stop()")
        cursor.execute("SELECT set_config('lock_timeout', '0', true)")


def ledger_close(*, until: datetime, closed_at: datetime, actor: str) -> None:
    """Close the ledger: from the caller's commit on, a batch with booked_at before `until` raises PeriodClosed.

    Times are aware. In the transaction of `booking_stop`. Raises ClosedFurther.
    """
    _check_aware(until)
    if not connection.in_atomic_block:
        raise TransactionManagementError("Closing belongs to the transaction that stopped the booking.")
    with _refusals([]), connection.cursor() as cursor:
        cursor.execute("SELECT ledger_close(%s, %s, %s)", [until, closed_at, actor])


def verification_run(*, at: datetime) -> Findings:
    """Read the whole ledger as of `at` (aware) and keep the result for /metrics. It reads the whole log."""
    findings = ledger_findings(at=at)
    Verification.objects.update_or_create(
        pk=1,
        defaults={
            "verified_at": findings.verified_at,
            "duration_s": findings.duration_s,
            "transfers": findings.transfers,
            "drifted_accounts": len(findings.drifts),
            "unbalanced_units": len(findings.unbalanced_units),
            "overdrawn_accounts": len(findings.overdrawn_account_ids),
            "overdue_holds": len(findings.overdue_hold_ids),
        },
    )
    return findings


@contextlib.contextmanager
def _refusals(entries: Sequence[Entry]) -> Iterator[None]:
    """Raise the ledger's own error for what the database refused, with the caller's transaction still usable.

    In autocommit one statement is its own transaction: begin and commit would hold the locks for two round trips more.
    """
    try:
        with transaction.atomic() if connection.in_atomic_block else contextlib.nullcontext():
            yield
    except DatabaseError as error:
        if named := error_from(error, entries):
            raise named from error
        raise


def _stored(entry: Entry, batch: UUID, booked_at: datetime, actor: str) -> Transfer:
    """The row of an entry that was new: what was said is what is stored. A post's and a void's accounts, and a void's
    amount, are its hold's: those fields are read from the database if somebody asks for them."""
    known: dict[str, object] = {
        "id": entry.id,
        "kind": entry.kind,
        "debit_id": entry.debit_id,
        "credit_id": entry.credit_id,
        "amount": entry.amount,
        "resolves_id": entry.resolves_id,
        "batch": entry.batch or batch,
        "reason": entry.reason,
        "event_at": entry.event_at,
        "booked_at": booked_at,
        "expires_at": entry.expires_at,
        "actor": actor,
    }
    if entry.resolves_id is not None:
        known = {name: value for name, value in known.items() if value is not None or name == "expires_at"}
    return Transfer.from_db(connection.alias, known.keys(), known.values())


def _as_json(entry: Entry, batch: UUID) -> dict[str, str | int | None]:
    return {
        "id": str(entry.id),
        "kind": entry.kind,
        "debit_id": entry.debit_id,
        "credit_id": entry.credit_id,
        "amount": entry.amount,
        "resolves_id": str(entry.resolves_id) if entry.resolves_id else None,
        "batch": str(entry.batch or batch),
        "reason": entry.reason,
        "event_at": entry.event_at.isoformat(),
        "expires_at": entry.expires_at.isoformat() if entry.expires_at else None,
    }


def _as_staged(entry: Entry, import_id: UUID, batch: UUID | None) -> tuple[object, ...]:
    return (
        import_id,
        entry.id,
        entry.kind,
        entry.debit_id,
        entry.credit_id,
        entry.amount,
        entry.resolves_id,
        entry.batch or batch or entry.id,
        entry.reason,
        entry.event_at,
        entry.expires_at,
    )


def _check_aware(moment: datetime) -> None:
    if moment.utcoffset() is None:
        raise ValueError(f"A time in the ledger has a time zone, {moment!r} has none.")
