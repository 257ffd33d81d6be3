"""Holds: GPU-seconds reserved for a job before it runs."""

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from portal.clock import centre_date, now
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.models import Allocation
from quotas.allocations.services.follow import withdrawals_follow
from quotas.allocations.services.locks import allocation_accounts_lock, allocation_lock
from quotas.ledger.errors import HoldUnknown, InsufficientBalance
from quotas.ledger.models import Transfer
from quotas.ledger.selectors import balances
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
    with transaction.atomic():
        allocation = allocation_lock(allocation_id)
        # A hold that was taken stays taken when the allocation closes before the caller hears of it.
        if not is_open(allocation, event_at) and not Transfer.objects.filter(pk=hold_id).exists():
            raise AllocationNotOpen(state=allocation.state, starts_on=allocation.starts_on, ends_on=allocation.ends_on)
        entry = Entry.hold(
            id=hold_id,
            debit=allocation.account_id,
            credit=allocation.consumed_account_id,
            amount=amount_gpu_seconds,
            reason=reason,
            event_at=event_at,
            expires_at=expires_at,
        )
        try:
            transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor))
        except InsufficientBalance as error:
            free = balances([allocation.account_id])[allocation.account_id].free
            raise BalanceTooSmall(free_gpu_seconds=free, needed_gpu_seconds=amount_gpu_seconds) from error


def hold_void(*, hold_id: UUID, event_at: datetime, reason: str, actor: Actor) -> bool:
    """Gives a hold back whole; returns whether this call did it. A hold that was resolved already stays as it is.

    Raises HoldUnknown.
    """
    with transaction.atomic():
        hold = Transfer.objects.filter(pk=hold_id, kind=Transfer.Kind.HOLD).first()
        rows = Allocation.objects.select_related("voucher")
        allocation = rows.filter(account_id=hold.debit_id).first() if hold else None
        if hold is None or allocation is None or hold.credit_id != allocation.consumed_account_id:
            raise HoldUnknown(str(hold_id))  # a withdrawal's or a tranche's hold is not a job's
        allocation_accounts_lock([allocation])
        if Transfer.objects.filter(resolves_id=hold_id).exists():
            return False
        entry = Entry.void(id=uuid5(hold_id, "void"), resolves=hold_id, reason=reason, event_at=event_at)
        transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor), batch=hold.batch)
        withdrawals_follow(account_ids=[hold.debit_id], event_at=event_at, actor=actor)
    return True
