"""What a voucher has never allocated, on its way back: the end of the voucher, a clawback.

What allocations still have goes by `withdrawals`: Slurm's limit is lowered first.
"""

from uuid import uuid4

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import WrongState
from quotas.allocations.models import Voucher, Withdrawal
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services.leaving import unallocated_leave
from quotas.allocations.services.money import money_lock, unspent_back_entries
from quotas.allocations.services.withdrawals import withdrawal_request
from quotas.ledger.selectors import balances
from quotas.ledger.services import transfers_book
from quotas.money import WHOLE_BASIS_POINTS


def voucher_expire(*, voucher_id: int, actor: Actor) -> int:
    """Moves what an ended voucher never allocated to its expired account, its money to budget and contribution;
    returns how much. Again: what came back since."""
    with transaction.atomic(), acting(actor, "voucher_expire"):
        voucher = Voucher.objects.get(pk=voucher_id)
        if voucher.ends_on >= centre_date(now()):
            raise WrongState(_("open"))
        return unallocated_leave(voucher, None, reason=f"end of voucher {voucher.pk}", batch=uuid4(), actor=actor)


def voucher_clawback(*, voucher_id: int, basis_points: int, reason: str, actor: Actor) -> int:
    """Takes a share of what is unspent: of what is not allocated, and of each allocation what is free or held.

    What jobs hold stays until they end, then follows. Returns the GPU-seconds that were asked back.
    """
    asked = 0
    with transaction.atomic(), acting(actor, f"voucher_clawback: {reason}"):
        voucher = Voucher.objects.select_for_update(no_key=True).get(pk=voucher_id)
        rows = list(voucher.allocations.filter(imported=False).order_by("pk"))
        known = allocation_balances([row.pk for row in rows])
        for row in rows:
            unspent = known[row.pk].free + known[row.pk].held
            amount = unspent * basis_points // WHOLE_BASIS_POINTS
            if amount > 0:
                withdrawal_request(
                    allocation_id=row.pk,
                    kind=Withdrawal.Kind.CLAWBACK,
                    amount_gpu_seconds=amount,
                    reason=reason,
                    event_at=now(),
                    actor=actor,
                )
                asked += amount
        free = balances([voucher.account_id])[voucher.account_id].free
        amount = free * basis_points // WHOLE_BASIS_POINTS
        if amount > 0:
            asked += unallocated_leave(voucher, amount, reason=f"clawback: {reason}"[:200], batch=uuid4(), actor=actor)
    return asked


def clawbacks_due(*, actor: Actor) -> int:
    """Claws back from every voucher whose day has come, once each; returns from how many."""
    today = centre_date(now())
    due = Voucher.objects.filter(
        clawback_on__lte=today, clawed_back_at__isnull=True, imported=False, ends_on__gte=today
    ).order_by("pk")
    done = 0
    for pk in list(due.values_list("pk", flat=True)):
        with transaction.atomic():
            # Compare and set: two who run at once claw back once.
            if not Voucher.objects.filter(pk=pk, clawed_back_at__isnull=True).update(clawed_back_at=now()):
                continue
            voucher = Voucher.objects.get(pk=pk)
            voucher_clawback(
                voucher_id=pk, basis_points=voucher.clawback_basis_points, reason="the programme's rule", actor=actor
            )
            done += 1
    return done


def rounding_back(voucher: Voucher, *, actor: Actor) -> bool:
    """Gives back what money an ended voucher still has above the worth of what it keeps: after a refund whose
    earning a statement has taken back since. True if there was any."""
    with transaction.atomic(), acting(actor, "rounding_back"):
        money_lock(voucher)
        batch, why = uuid4(), f"end of voucher {voucher.pk}"
        entries = unspent_back_entries(voucher, leaving_gpu_seconds=0, batch=batch, reason=why, at=now())
        if entries:
            transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor), batch=batch)
    return bool(entries)
