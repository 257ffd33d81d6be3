"""GPU-seconds that no project has, and their money, on their way out of a voucher for good."""

from uuid import UUID, uuid4

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import BalanceTooSmall, Invalid
from quotas.allocations.models import Voucher
from quotas.allocations.services.money import money_lock, unspent_back_entries
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, transfers_book


def voucher_return(
    *, voucher_id: int, amount_gpu_seconds: int, reason: str, actor: Actor, batch: UUID | None = None
) -> None:
    """Gives GPU-seconds that are not allocated, and their money, back to the programme. Raises BalanceTooSmall,
    Invalid."""
    if amount_gpu_seconds <= 0:
        raise Invalid(_("Give a number of GPU-hours above 0."), field="gpu_hours")
    with transaction.atomic(), acting(actor, f"voucher_return: {reason}"):
        voucher = Voucher.objects.get(pk=voucher_id)
        unallocated_leave(
            voucher, amount_gpu_seconds, reason=f"return: {reason}"[:200], batch=batch or uuid4(), actor=actor
        )


def unallocated_leave(voucher: Voucher, amount: int | None, *, reason: str, batch: UUID, actor: Actor) -> int:
    """Books GPU-seconds (all that are free, for None) into "expired", their money with them; returns how many."""
    money_lock(voucher)
    free = balances([voucher.account_id])[voucher.account_id].free
    wanted = free if amount is None else amount
    if wanted > free:
        raise BalanceTooSmall(free_gpu_seconds=free, needed_gpu_seconds=wanted)
    if wanted <= 0:
        return 0
    moment = now()
    step = Entry.direct(
        id=batch,
        debit=voucher.account_id,
        credit=voucher.expired_account_id,
        amount=wanted,
        reason=reason,
        event_at=moment,
    )
    money = unspent_back_entries(voucher, leaving_gpu_seconds=wanted, batch=batch, reason=reason, at=moment)
    transfers_book(entries=[step, *money], booked_at=moment, actor=actor_key(actor), batch=batch)
    return wanted
