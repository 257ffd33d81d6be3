"""An allocation's states. Slurm follows: what is not active starts no job, what runs is left alone."""

import logging
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from portal.audit.context import acting
from portal.clock import centre_date, now
from quotas.actors import Actor
from quotas.allocations.errors import WrongState
from quotas.allocations.models import Allocation, Tranche, Voucher
from quotas.allocations.services.endings import rounding_back, voucher_expire
from quotas.allocations.services.follow import withdrawals_follow
from quotas.allocations.services.locks import allocation_lock
from quotas.allocations.services.tranches import tranche_lose

logger = logging.getLogger(__name__)
State = Allocation.State


def allocation_suspend(*, allocation_id: int, reason: str, actor: Actor) -> None:
    """No new holds, no job starts; running jobs go on. Raises WrongState unless it is active."""
    _state_set(allocation_id, [State.ACTIVE], State.SUSPENDED, reason, actor)


def allocation_resume(*, allocation_id: int, reason: str, actor: Actor) -> None:
    """Ends a suspension. Raises WrongState unless it is suspended."""
    _state_set(allocation_id, [State.SUSPENDED], State.ACTIVE, reason, actor)


def allocation_expire(*, allocation_id: int, reason: str = "", actor: Actor) -> None:
    """Ends it for good: what is free now, and what jobs give back later, is withdrawn to "expired". Raises
    WrongState."""
    _state_set(allocation_id, [State.ACTIVE, State.SUSPENDED], State.EXPIRED, reason, actor)


def allocation_close(*, allocation_id: int, reason: str, actor: Actor) -> None:
    """Ends it for good: the rest returns to the voucher, to be allocated again. Raises WrongState."""
    _state_set(allocation_id, [State.ACTIVE, State.SUSPENDED], State.CLOSED, reason, actor)


def allocation_adopt(*, allocation_id: int, actor: Actor) -> None:
    """Wants an imported allocation in Slurm from now on (its account and people; it stays closed). Again: nothing."""
    with transaction.atomic(), acting(actor, "allocation_adopt"):
        rows = Allocation.objects.filter(pk=allocation_id, imported=True, adopted_at__isnull=True)
        rows.update(adopted_at=now())


def ended_expire(*, actor: Actor) -> int:
    """Expires allocations after their last day, then what ended vouchers never allocated; returns how many changed.

    Tranches that were not released until then go back to their programme.
    """
    today = centre_date(now())
    ended = Allocation.objects.filter(
        ends_on__lt=today, state__in=[State.ACTIVE, State.SUSPENDED], imported=False
    ).values_list("pk", flat=True)
    changed = 0
    for pk in list(ended):
        try:
            allocation_expire(allocation_id=pk, actor=actor)
        except WrongState:  # an operator closed it a moment ago
            logger.info("allocation %s ended otherwise in the meantime", pk)
            continue
        changed += 1
    pending = Tranche.objects.filter(voucher__ends_on__lt=today, state=Tranche.State.PENDING)
    for pk in list(pending.values_list("pk", flat=True)):
        tranche_lose(tranche_id=pk, reason="the voucher ended", actor=actor)
        changed += 1
    vouchers = Voucher.objects.filter(
        ends_on__lt=today,
        imported=False,
        account__credits_posted__gt=F("account__debits_posted") + F("account__debits_pending"),
    )
    for pk in list(vouchers.values_list("pk", flat=True)):
        changed += voucher_expire(voucher_id=pk, actor=actor) > 0
    moneyed = Voucher.objects.filter(
        ends_on__lt=today, money_account__credits_posted__gt=F("money_account__debits_posted")
    )
    for voucher in list(moneyed):
        changed += rounding_back(voucher, actor=actor)
    return changed


def _state_set(allocation_id: int, before: Iterable[str], after: str, reason: str, actor: Actor) -> None:
    with transaction.atomic(), acting(actor, f"{after}: {reason}"):
        allocation = allocation_lock(allocation_id)
        if allocation.state not in list(before):
            raise WrongState(allocation.get_state_display())
        allocation.state, allocation.state_reason, allocation.state_changed_at = after, reason[:400], now()
        allocation.save(update_fields=["state", "state_reason", "state_changed_at"])
        withdrawals_follow(account_ids=[allocation.account_id], event_at=now(), actor=actor)
