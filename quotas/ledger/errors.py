"""What the ledger refuses, one class per broken rule. The rules are the database's; `error_from` only gives names."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from django.db import DatabaseError

if TYPE_CHECKING:
    from quotas.ledger.entries import Entry


class LedgerError(Exception):
    """A transfer that the ledger refused. Nothing of its batch was booked."""


class InsufficientBalance(LedgerError):
    """The batch would take an account that may not overdraw below zero.

    account_id: the account; needed: what the batch asked of it, net (after an import, which does not keep its rows: at
    least short_by); short_by: what was missing. Both in the account's unit.
    """

    def __init__(self, account_id: int, needed: int, short_by: int) -> None:
        super().__init__(f"account {account_id} is short by {short_by} of the {needed} asked")
        self.account_id = account_id
        self.needed = needed
        self.short_by = short_by


class IdempotencyConflict(LedgerError):
    """The id is stored already, with other fields."""


class HoldUnknown(LedgerError):
    """A post or void names a hold that does not exist, or something that is not a hold."""


class HoldAlreadyResolved(LedgerError):
    """The hold was posted or voided before, by another transfer."""


class PostAboveHold(LedgerError):
    """A post may take at most what its hold reserved."""


class UnitMismatch(LedgerError):
    """Debit and credit are accounts of different units."""


class AccountUnknown(LedgerError):
    """An entry names an account that does not exist."""


class InvalidEntry(LedgerError):
    """An entry breaks a rule that no correct caller breaks: an amount out of range, one account on both sides."""


class PeriodClosed(LedgerError):
    """booked_at lies in a period that is closed. What came late is booked now, and appears in the period of now."""


class LedgerBusy(LedgerError):
    """A batch that is under way takes longer than one who closes the ledger may let everybody else wait. Try again."""


class ClosedFurther(LedgerError):
    """The ledger is closed until a later moment already: what is closed stays closed."""


ERRORS: dict[str, type[LedgerError]] = {
    "ledger_transfer_pkey": IdempotencyConflict,
    "ledger_transfer_resolves": HoldAlreadyResolved,
    "ledger_transfer_hold": HoldUnknown,
    "ledger_transfer_post_within_hold": PostAboveHold,
    "ledger_transfer_unit": UnitMismatch,
    "ledger_transfer_account": AccountUnknown,
    "ledger_transfer_same_accounts": InvalidEntry,
    "ledger_transfer_void_whole_hold": InvalidEntry,
    "ledger_transfer_kind": InvalidEntry,
    "ledger_transfer_amount": InvalidEntry,
    "ledger_transfer_expires": InvalidEntry,
    "ledger_transfer_two_accounts": InvalidEntry,
    "ledger_transfer_open_period": PeriodClosed,
    "ledger_closing_forward": ClosedFurther,
}

# PostgreSQL shows the row that failed as "(id, …, four totals)", in every language of its messages.
_FAILING_ACCOUNT = re.compile(r"\((\d+), .*, (-?\d+), (-?\d+), (-?\d+), (-?\d+)\)", re.DOTALL)


def error_from(error: DatabaseError, entries: Sequence["Entry"] = ()) -> LedgerError | None:
    """The ledger's error for a database error, or None where it has another cause."""
    if not isinstance(error.__cause__, psycopg.Error):
        return None
    diag = error.__cause__.diag
    if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
        return LedgerBusy(diag.message_primary)
    name = diag.constraint_name or ""
    if name == "ledger_account_balance":
        return _insufficient_balance(diag.message_detail or "", entries)
    if name in ERRORS:
        return ERRORS[name](diag.message_primary)
    return None


def _insufficient_balance(detail: str, entries: Sequence["Entry"]) -> LedgerError:
    found = _FAILING_ACCOUNT.search(detail)
    if found is None:
        raise ValueError(f"PostgreSQL did not show the account that failed: {detail!r}")
    account_id, debits_pending, debits_posted, _credits_pending, credits_posted = map(int, found.groups())
    short_by = debits_pending + debits_posted - credits_posted
    needed = sum(entry.amount or 0 for entry in entries if entry.debit_id == account_id)
    needed -= sum(entry.amount or 0 for entry in entries if entry.credit_id == account_id and entry.kind == "direct")
    return InsufficientBalance(account_id, max(needed, short_by), short_by)
