"""Reading the ledger: balances, transfers, holds. No person is asked for here: who may see an account is decided by the
apps above, whose rows say whose account it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, Q, QuerySet

from quotas.ledger.models import Account, Closing, Transfer


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's four totals, in its unit."""

    account_id: int
    unit: str
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int

    @property
    def free(self) -> int:
        """What may still be held or moved. What is pending on the credit side is promised, not there yet."""
        return self.credits_posted - self.debits_posted - self.debits_pending

    @property
    def posted(self) -> int:
        """What came in less what went out; open holds are still in it."""
        return self.credits_posted - self.debits_posted


def balances(account_ids: Iterable[int]) -> dict[int, Balance]:
    """The totals of accounts, read at one moment. Ids that do not exist are left out."""
    rows = Account.objects.filter(pk__in=set(account_ids)).values_list(
        "pk", "unit", "debits_pending", "debits_posted", "credits_pending", "credits_posted"
    )
    return {row[0]: Balance(*row) for row in rows}


def transfers_of_batch(batch: UUID) -> QuerySet[Transfer]:
    """What was booked as one. A batch without a name of its own bears its first transfer's id (see the index)."""
    first_or_other = Q(pk=batch, batch=batch) | (Q(batch=batch) & ~Q(batch=F("id")))
    return Transfer.objects.filter(first_or_other).order_by("booked_at", "id")


def holds_open() -> QuerySet[Transfer]:
    """Holds that no post and no void has resolved."""
    return Transfer.objects.filter(kind=Transfer.Kind.HOLD, resolutions__isnull=True)


def holds_resolved_by(hold_ids: Iterable[UUID]) -> dict[UUID, Transfer]:
    """The post or void of each hold that has one."""
    return {
        transfer.resolves_id: transfer
        for transfer in Transfer.objects.filter(resolves_id__in=set(hold_ids))
        if transfer.resolves_id is not None
    }


def closed_until() -> datetime | None:
    """Nothing is booked before this moment any more; None: the ledger was never closed."""
    return Closing.objects.values_list("until", flat=True).first()
