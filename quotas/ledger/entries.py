"""What a caller asks the ledger to book: plain values, checked for what no constraint can see (types, time zones)."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from quotas.ledger.models import Account, Transfer


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer to be. Made by `direct`, `hold`, `post` and `void`, which take what that kind needs.

    amount is in the accounts' unit; id is chosen by the caller and makes the entry idempotent; event_at is when the
    thing happened, expires_at when a hold should have been resolved, both aware. batch names what it belongs to, where
    the entries that are booked together belong to several things (`in_batch`).
    """

    id: UUID
    kind: str
    debit_id: int | None
    credit_id: int | None
    amount: int | None
    resolves_id: UUID | None
    reason: str
    event_at: datetime
    expires_at: datetime | None = None
    batch: UUID | None = None

    def __post_init__(self) -> None:
        if self.amount is not None and type(self.amount) is not int:
            raise TypeError(f"An amount is an int, not {self.amount!r}.")
        for moment in (self.event_at, self.expires_at):
            if moment is not None and moment.utcoffset() is None:
                raise ValueError(f"A time in the ledger has a time zone, {moment!r} has none.")

    def in_batch(self, batch: UUID) -> "Entry":
        """The same entry as a part of a batch of its own name."""
        return replace(self, batch=batch)

    @classmethod
    def direct(
        cls, *, id: UUID, debit: Account | int, credit: Account | int, amount: int, reason: str, event_at: datetime
    ) -> "Entry":
        """Move the amount from debit to credit at once."""
        return cls(id, Transfer.Kind.DIRECT.value, _pk(debit), _pk(credit), amount, None, reason, event_at)

    @classmethod
    def hold(
        cls,
        *,
        id: UUID,
        debit: Account | int,
        credit: Account | int,
        amount: int,
        reason: str,
        event_at: datetime,
        expires_at: datetime | None = None,
    ) -> "Entry":
        """Reserve the amount until a post or a void resolves it."""
        return cls(id, Transfer.Kind.HOLD.value, _pk(debit), _pk(credit), amount, None, reason, event_at, expires_at)

    @classmethod
    def post(cls, *, id: UUID, resolves: UUID, amount: int, reason: str, event_at: datetime) -> "Entry":
        """Move up to the hold's amount between its accounts, 0 included, and free the rest."""
        return cls(id, Transfer.Kind.POST.value, None, None, amount, resolves, reason, event_at)

    @classmethod
    def void(cls, *, id: UUID, resolves: UUID, reason: str, event_at: datetime) -> "Entry":
        """Free the whole hold."""
        return cls(id, Transfer.Kind.VOID.value, None, None, None, resolves, reason, event_at)


def _pk(account: Account | int) -> int:
    return account if isinstance(account, int) else account.pk
