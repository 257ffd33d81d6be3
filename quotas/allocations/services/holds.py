"""Holds: GPU-seconds reserved for a job before it runs."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from portal.clock import centre_date, now
from portal.transactions import in_transaction
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import free_gpu_seconds
from quotas.allocations.services.follow import withdrawals_follow
from quotas.allocations.services.locks import allocation_accounts_lock
from quotas.ledger.errors import HoldUnknown, InsufficientBalance
from quotas.ledger.models import Transfer
from quotas.ledger.services import Entry, transfers_book


def is_open(allocation: Allocation, moment: datetime) -> bool:
    """Whether a job may take a hold: the state and, in the centre's time zone, both dates included."""
    day = centre_date(moment)
    return allocation.state == Allocation.State.ACTIVE and allocation.starts_on <= day <= allocation.ends_on


def hold_take(
    *,
    allocation_id: int,
    hold_id: UUID,
    amount_gpu_seconds: int,
    event_at: datetime,
    reason: str,
    actor: Actor,
    expires_at: datetime | None = None,
) -> None:
    """Reserves GPU-seconds of an allocation. The same hold again, with the same fields, changes nothing.

    `expires_at`: when the hold should have been resolved (a job's latest end); later, `ledger_verify` reports it.
    Raises BalanceTooSmall, AllocationNotOpen; IdempotencyConflict if the id was used for something else.
    """
    holds_take(
        allocation_id=allocation_id,
        amounts_gpu_seconds={hold_id: amount_gpu_seconds},
        event_at=event_at,
        reason=reason,
        actor=actor,
        expires_at=expires_at,
    )


def holds_take(
    *,
    allocation_id: int,
    amounts_gpu_seconds: Mapping[UUID, int],
    event_at: datetime,
    reason: str,
    actor: Actor,
    expires_at: datetime | None = None,
) -> None:
    """Several holds at once (an array's tasks), amounts by hold, all or none; otherwise as `hold_take`."""
    with in_transaction():
        # Its own row only: every submission comes by here. No charge is booked, so no account besides is locked.
        allocation = Allocation.objects.select_for_update(no_key=True).get(pk=allocation_id)
        # A hold that was taken stays taken when the allocation closes before the caller hears of it.
        if not is_open(allocation, event_at) and not _all_taken(amounts_gpu_seconds):
            raise AllocationNotOpen(state=allocation.state, starts_on=allocation.starts_on, ends_on=allocation.ends_on)
        entries = [
            Entry.hold(
                id=hold_id,
                debit=allocation.account_id,
                credit=allocation.consumed_account_id,
                amount=amount,
                reason=reason,
                event_at=event_at,
                expires_at=expires_at,
            ).in_batch(hold_id)
            for hold_id, amount in amounts_gpu_seconds.items()
        ]
        try:
            transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor))
        except InsufficientBalance as error:
            needed = sum(amounts_gpu_seconds.values())
            raise BalanceTooSmall(free_gpu_seconds=free_gpu_seconds(allocation), needed_gpu_seconds=needed) from error


def _all_taken(amounts_gpu_seconds: Mapping[UUID, int]) -> bool:
    return Transfer.objects.filter(pk__in=amounts_gpu_seconds).count() == len(amounts_gpu_seconds)


def hold_void(*, hold_id: UUID, event_at: datetime, reason: str, actor: Actor) -> bool:
    """Gives a hold back whole; returns whether this call did it. A hold that was resolved already stays as it is.

    Raises HoldUnknown.
    """
    return bool(holds_void(hold_ids=[hold_id], event_at=event_at, reason=reason, actor=actor))


def holds_void(*, hold_ids: Collection[UUID], event_at: datetime, reason: str, actor: Actor) -> int:
    """Gives several holds back at once; returns how many this call did. Raises HoldUnknown: then none is given back."""
    with transaction.atomic():
        holds = list(Transfer.objects.filter(pk__in=hold_ids, kind=Transfer.Kind.HOLD).order_by("pk"))
        rows = Allocation.objects.select_related("voucher")
        paying = {row.account_id: row for row in rows.filter(account_id__in={hold.debit_id for hold in holds})}
        for hold in holds:
            allocation = paying.get(hold.debit_id)
            if allocation is None or hold.credit_id != allocation.consumed_account_id:
                raise HoldUnknown(str(hold.pk))  # a withdrawal's or a tranche's hold is not a job's
        if missing := set(hold_ids) - {hold.pk for hold in holds}:
            raise HoldUnknown(str(missing.pop()))
        allocation_accounts_lock(paying.values())
        resolved = set(Transfer.objects.filter(resolves__in=hold_ids).values_list("resolves_id", flat=True))
        given_back = [hold for hold in holds if hold.pk not in resolved]
        entries = [
            Entry.void(id=uuid5(hold.pk, "void"), resolves=hold.pk, reason=reason, event_at=event_at).in_batch(
                hold.batch
            )
            for hold in given_back
        ]
        transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor))
        if given_back:
            accounts = {hold.debit_id for hold in given_back}
            withdrawals_follow(account_ids=accounts, event_at=event_at, actor=actor)
    return len(given_back)
