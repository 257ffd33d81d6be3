"""Withdrawals that wait for jobs: what a job holds stays until it is resolved, then follows."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from django.db.models import Exists, OuterRef, Q

from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services.locks import allocation_accounts_lock
from quotas.ledger.services import Entry, transfers_book

# What happens to the rest of an allocation that ended, and the words that go with it.
ENDINGS = {
    Allocation.State.EXPIRED: (Withdrawal.Kind.EXPIRY, "end of the allocation"),
    Allocation.State.CLOSED: (Withdrawal.Kind.RETURN, "the allocation was closed"),
}
REASON_LENGTH = 200  # of a ledger transfer


def withdrawals_follow(*, account_ids: Iterable[int], event_at: datetime, actor: Actor) -> None:
    """Takes free GPU-seconds out of those allocations (by ledger account) from which something is still to be
    withdrawn.

    Called at the end of the transaction that freed them: a job submitted a moment later cannot be quicker. Imported
    history is left out: it is not in Slurm, so nobody would lower a limit there.
    """
    waiting = Withdrawal.objects.filter(allocation=OuterRef("pk"), state=Withdrawal.State.WAITING)
    wanting = list(
        Allocation.objects.filter(account_id__in=set(account_ids), imported=False)
        .filter(Q(state__in=list(ENDINGS)) | Exists(waiting))
        .select_related("voucher")
        .order_by("account_id")
    )
    if not wanting:
        return
    balances = allocation_accounts_lock(wanting)
    for allocation in wanting:
        free = balances[allocation.account_id].free
        free = _waiting_take(allocation, free, event_at, actor)
        if allocation.state in ENDINGS and free > 0:
            kind, reason = ENDINGS[Allocation.State(allocation.state)]
            withdrawal_take(
                withdrawal_id=uuid4(),
                allocation=allocation,
                kind=kind,
                amount_gpu_seconds=free,
                reason=allocation.state_reason or reason,
                requested_by=actor_key(actor),
                event_at=event_at,
            )


def _waiting_take(allocation: Allocation, free: int, event_at: datetime, actor: Actor) -> int:
    """Serves the waiting withdrawals, oldest first; returns what is still free after them."""
    rows = Withdrawal.objects.select_for_update().filter(allocation=allocation, state=Withdrawal.State.WAITING)
    for row in rows.order_by("created_at", "id"):
        part = min(free, row.amount_gpu_seconds)
        if part <= 0:
            break
        withdrawal_take(
            withdrawal_id=uuid4(),
            allocation=allocation,
            kind=row.kind,
            amount_gpu_seconds=part,
            reason=row.reason,
            requested_by=row.requested_by,
            event_at=event_at,
        )
        free -= part
        if part == row.amount_gpu_seconds:
            row.delete()  # the new rows say it all
        else:
            row.amount_gpu_seconds -= part
            row.save(update_fields=["amount_gpu_seconds"])
    return free


def withdrawal_take(
    *,
    withdrawal_id: UUID,
    allocation: Allocation,
    kind: str,
    amount_gpu_seconds: int,
    reason: str,
    requested_by: str,
    event_at: datetime,
    target: Allocation | None = None,
) -> Withdrawal:
    """Books the hold allocation → voucher and its row. Raises the ledger's InsufficientBalance."""
    entry = Entry.hold(
        id=withdrawal_id,
        debit=allocation.account_id,
        credit=allocation.voucher.account_id,
        amount=amount_gpu_seconds,
        reason=f"{kind}: {reason}"[:REASON_LENGTH],
        event_at=event_at,
    )
    transfers_book(entries=[entry], booked_at=now(), actor=requested_by)
    return Withdrawal.objects.create(
        id=withdrawal_id,
        allocation=allocation,
        kind=kind,
        target=target,
        amount_gpu_seconds=amount_gpu_seconds,
        state=Withdrawal.State.REQUESTED,
        reason=reason,
        requested_by=requested_by,
        created_at=now(),
    )


def withdrawal_post(row: Withdrawal, event_at: datetime) -> Entry:
    """Takes what was reserved out of the allocation, into the voucher."""
    return Entry.post(
        id=uuid5(row.pk, "post"),
        resolves=row.pk,
        amount=row.amount_gpu_seconds,
        reason=f"{row.kind}: {row.reason}"[:REASON_LENGTH],
        event_at=event_at,
    )
