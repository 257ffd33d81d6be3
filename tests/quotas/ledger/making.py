"""Accounts and entries for the ledger's tests: every amount is said, ids are new."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from quotas.ledger.models import Account, Transfer
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, transfers_book
from quotas.ledger.verification import ledger_findings

H100, H200 = "gpu:h100", "gpu:h200"
EVENT_AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
BOOKED_AT = datetime(2026, 3, 1, 8, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Books:
    source: Account
    pool: Account
    allocation: Account
    consumed: Account
    overrun: Account
    other_source: Account
    other_allocation: Account  # of another unit
    other_consumed: Account

    @property
    def ids(self) -> list[int]:
        return [account.pk for account in vars(self).values()]


def books_make(*, pool: int = 1_000, allocation: int = 100) -> Books:
    kind = Account.Kind
    books = Books(
        source=account_create(unit=H100, kind=kind.SOURCE, owner="programme:1", may_overdraw=True),
        pool=account_create(unit=H100, kind=kind.POOL, owner="programme:1"),
        allocation=account_create(unit=H100, kind=kind.ALLOCATION, owner="allocation:1"),
        consumed=account_create(unit=H100, kind=kind.CONSUMED, owner="allocation:1"),
        overrun=account_create(unit=H100, kind=kind.OVERRUN, owner="allocation:1", may_overdraw=True),
        other_source=account_create(unit=H200, kind=kind.SOURCE, owner="programme:1", may_overdraw=True),
        other_allocation=account_create(unit=H200, kind=kind.ALLOCATION, owner="allocation:2"),
        other_consumed=account_create(unit=H200, kind=kind.CONSUMED, owner="allocation:2"),
    )
    book(
        direct(books.source, books.pool, pool),
        direct(books.source, books.allocation, allocation),
        direct(books.other_source, books.other_allocation, allocation),
    )
    return books


def direct(debit: Account | int, credit: Account | int, amount: int, *, id: UUID | None = None) -> Entry:
    return Entry.direct(
        id=id or uuid4(), debit=debit, credit=credit, amount=amount, reason="a grant", event_at=EVENT_AT
    )


def hold(
    debit: Account | int,
    credit: Account | int,
    amount: int,
    *,
    id: UUID | None = None,
    expires_at: datetime | None = None,
) -> Entry:
    return Entry.hold(
        id=id or uuid4(),
        debit=debit,
        credit=credit,
        amount=amount,
        reason="job 17 submitted",
        event_at=EVENT_AT,
        expires_at=expires_at,
    )


def post(resolves: UUID, amount: int, *, id: UUID | None = None) -> Entry:
    return Entry.post(id=id or uuid4(), resolves=resolves, amount=amount, reason="job 17 ran", event_at=EVENT_AT)


def void(resolves: UUID, *, id: UUID | None = None) -> Entry:
    return Entry.void(id=id or uuid4(), resolves=resolves, reason="job 17 cancelled", event_at=EVENT_AT)


def book(*entries: Entry, batch: UUID | None = None, booked_at: datetime = BOOKED_AT) -> list[Transfer]:
    return transfers_book(entries=entries, booked_at=booked_at, actor="tests", batch=batch)


def totals(account: Account) -> tuple[int, int, int, int]:
    """Debits pending and posted, credits pending and posted."""
    balance = balances([account.pk])[account.pk]
    return (balance.debits_pending, balance.debits_posted, balance.credits_pending, balance.credits_posted)


def free(account: Account) -> int:
    return balances([account.pk])[account.pk].free


def assert_adds_up() -> None:
    findings = ledger_findings(at=BOOKED_AT)
    assert findings.ok, findings
