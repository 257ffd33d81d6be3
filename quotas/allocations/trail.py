"""From a figure to the transfers behind it, and from there to everything that was booked with one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from quotas.actors import actor_names
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import AllocationBalance
from quotas.ledger.models import Transfer

FIGURES = ("granted", "overrun", "held", "consumed", "expired", "remaining", "withdrawals")
_POSTED = Q(kind__in=[Transfer.Kind.DIRECT, Transfer.Kind.POST])


@dataclass(frozen=True, slots=True)
class TrailRow:
    """A transfer seen from one account: `change_gpu_seconds` is what it moved there, 0 for a hold and a void."""

    id: UUID
    batch: UUID
    kind: str
    amount_gpu_seconds: int
    change_gpu_seconds: int
    reason: str
    event_at: datetime
    booked_at: datetime
    actor: str


def transfers_of_figure(allocation: Allocation, figure: str) -> QuerySet[Transfer]:
    """The transfers that one figure of an allocation is the sum of, newest first. Raises KeyError for another word."""
    own, consumed = Q(debit=allocation.account_id), Q(credit=allocation.consumed_account_id)
    voucher = allocation.voucher.account_id
    unresolved = ~Exists(Transfer.objects.filter(resolves_id=OuterRef("pk")))
    hold = Q(kind=Transfer.Kind.HOLD) & own
    chosen = {
        "granted": _POSTED & _between(voucher, allocation.account_id),
        "overrun": _POSTED & _touching(allocation.overrun_account_id),
        "consumed": _POSTED & _touching(allocation.consumed_account_id),
        "expired": _POSTED & _touching(allocation.expired_account_id),
        "remaining": _touching(allocation.account_id),
        "held": hold & consumed & unresolved,
        "withdrawals": hold & Q(credit=voucher) & unresolved,
    }[figure]
    return Transfer.objects.filter(chosen).order_by("-booked_at", "id")


def transfers_of_batch_here(allocation: Allocation, batch: UUID) -> QuerySet[Transfer]:
    """Everything booked in one batch, as far as it touches the allocation: a charge with its correction and its
    refund."""
    rows = Transfer.objects.filter(_touching(allocation.account_id), batch=batch)
    return rows.order_by("booked_at", "id")


def account_of_figure(allocation: Allocation, figure: str) -> tuple[int, int]:
    """The account that a figure is read from, and the sign with which a credit to it counts. Raises KeyError."""
    return {
        "granted": (allocation.account_id, 1),
        "overrun": (allocation.overrun_account_id, -1),
        "consumed": (allocation.consumed_account_id, 1),
        "expired": (allocation.expired_account_id, 1),
        "remaining": (allocation.account_id, 1),
        "held": (allocation.account_id, 1),
        "withdrawals": (allocation.account_id, 1),
    }[figure]


def figure_gpu_seconds(balance: AllocationBalance, figure: str) -> int:
    return balance.withdrawals_pending if figure == "withdrawals" else int(getattr(balance, figure))


def trail_rows(transfers: Sequence[Transfer], *, account_id: int, sign: int = 1) -> list[TrailRow]:
    """A page of transfers as seen from an account, with the names of those who booked them (one query)."""
    names = actor_names(row.actor for row in transfers)
    return [
        TrailRow(
            id=row.pk,
            batch=row.batch,
            kind=row.kind,
            amount_gpu_seconds=row.amount,
            change_gpu_seconds=_change(row, account_id) * sign,
            reason=row.reason,
            event_at=row.event_at,
            booked_at=row.booked_at,
            actor=names.get(row.actor, row.actor),
        )
        for row in transfers
    ]


def _change(row: Transfer, account_id: int) -> int:
    if row.kind not in (Transfer.Kind.DIRECT, Transfer.Kind.POST):
        return 0
    return row.amount * ((row.credit_id == account_id) - (row.debit_id == account_id))


def _touching(account_id: int) -> Q:
    return Q(debit=account_id) | Q(credit=account_id)


def _between(one: int, other: int) -> Q:
    return Q(debit=one, credit=other) | Q(debit=other, credit=one)
