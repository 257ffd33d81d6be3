"""Corrections of charges whose record changed in slurmdbd, and refunds. Both are new transfers in the charge's
batch."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Sum

from portal.audit.context import acting
from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import AmountAboveCharge, BalanceTooSmall, ChargeUnknown
from quotas.allocations.models import Allocation, Refund
from quotas.allocations.services.charges import consumption, leg_id
from quotas.allocations.services.follow import REASON_LENGTH, withdrawals_follow
from quotas.allocations.services.locks import allocation_accounts_lock
from quotas.allocations.services.moves import moves_give_way
from quotas.ledger.errors import IdempotencyConflict
from quotas.ledger.models import Transfer
from quotas.ledger.selectors import transfers_of_batch
from quotas.ledger.services import Entry, transfers_book

# back: consumed → allocation; overrun-back: allocation → overrun; refund-back: allocation → consumed.
CORRECTION_LEGS = ("free", "overrun", "overrun-in", "back", "overrun-back", "refund-back")


@dataclass(frozen=True, kw_only=True)
class BookedCorrection:
    """A correction as booked, in GPU-seconds: by how much the charge, and the part of it that is overrun, changed."""

    difference: int
    overrun_difference: int


@dataclass(frozen=True)
class _Carried:
    """What a charge's batch adds up to, GPU-seconds."""

    charged: int  # corrections included, refunds not taken off
    overrun: int
    refunded: int


def correction_book(
    *,
    allocation_id: int,
    record_charge_id: UUID,
    revision: int,
    difference_gpu_seconds: int,
    event_at: datetime,
    reason: str,
    actor: Actor,
) -> BookedCorrection:
    """Books the difference of a record that changed after its charge; keyed by (record, revision), revision from 1.

    More is charged like an excess: free balance, then what is on its way to others and has not left, then overrun.
    Less goes back where it came from: first to the overrun that the centre bore, then to the allocation; a refund of
    what was never used is taken back with it. A correction is no refund: it does not raise the limit in Slurm, whose
    counter follows the record.

    Raises AmountAboveCharge, IdempotencyConflict.
    """
    if revision < 1:
        raise ValueError("Revision 0 is the charge itself.")
    with transaction.atomic():
        allocation = Allocation.objects.select_related("voucher").get(pk=allocation_id)
        balance = allocation_accounts_lock([allocation])[allocation.account_id]
        ids = {leg_id(record_charge_id, revision, leg): leg for leg in CORRECTION_LEGS}
        stored = {ids[row.pk]: row for row in Transfer.objects.filter(pk__in=ids)}
        if stored:
            return _as_stored(stored, difference_gpu_seconds)
        if difference_gpu_seconds > 0:
            missing = difference_gpu_seconds - balance.free
            freed, entries = moves_give_way(allocation, missing, event_at=event_at) if missing > 0 else (0, [])
            from_free = min(difference_gpu_seconds, max(balance.free + freed, 0))
            entries += consumption(
                allocation,
                charge_id=record_charge_id,
                revision=revision,
                from_free=from_free,
                overrun=difference_gpu_seconds - from_free,
                first_id=None,
                reason=reason,
                event_at=event_at,
            )
            overrun = difference_gpu_seconds - from_free
        else:
            entries, overrun = _lower(
                allocation, record_charge_id, revision, -difference_gpu_seconds, event_at, reason, actor
            )
        transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor), batch=record_charge_id)
        withdrawals_follow(account_ids=[allocation.account_id], event_at=event_at, actor=actor)
    return BookedCorrection(difference=difference_gpu_seconds, overrun_difference=overrun)


def _as_stored(stored: dict[str, Transfer], difference: int) -> BookedCorrection:
    amount = {leg: row.amount for leg, row in stored.items()}
    booked = amount.get("free", 0) + amount.get("overrun", 0) - amount.get("back", 0)
    if booked != difference:
        raise IdempotencyConflict(f"this revision is booked with {booked} GPU-seconds")
    overrun = amount.get("overrun-in", 0) - amount.get("overrun-back", 0)
    return BookedCorrection(difference=booked, overrun_difference=overrun)


def _lower(
    allocation: Allocation,
    charge_id: UUID,
    revision: int,
    less: int,
    event_at: datetime,
    reason: str,
    actor: Actor,
) -> tuple[list[Entry], int]:
    """The entries that take GPU-seconds off a charge, and by how much its overrun changes (0 or negative)."""
    carried = _carried(allocation, charge_id)
    if less > carried.charged:
        raise AmountAboveCharge(left_gpu_seconds=carried.charged, wanted_gpu_seconds=less)
    account, consumed = allocation.account_id, allocation.consumed_account_id

    def direct(leg: str, debit: int, credit: int, amount: int) -> list[Entry]:
        id = leg_id(charge_id, revision, leg)
        entry = Entry.direct(id=id, debit=debit, credit=credit, amount=amount, reason=reason, event_at=event_at)
        return [entry] if amount > 0 else []

    refund_back = max(0, carried.refunded - (carried.charged - less))
    overrun_back = min(less - refund_back, carried.overrun)
    entries = direct("back", consumed, account, less)
    entries += direct("refund-back", account, consumed, refund_back)
    entries += direct("overrun-back", account, allocation.overrun_account_id, overrun_back)
    if refund_back:
        Refund.objects.create(
            id=leg_id(charge_id, revision, "refund-back"),
            allocation=allocation,
            charge=charge_id,
            amount_gpu_seconds=-refund_back,
            reason=reason[:400],
            refunded_by=actor_key(actor),
            created_at=now(),
        )
    return entries, -overrun_back


def refund_book(
    *,
    allocation_id: int,
    record_charge_id: UUID,
    refund_id: UUID,
    amount_gpu_seconds: int,
    event_at: datetime,
    reason: str,
    actor: Actor,
) -> Refund:
    """Gives GPU-seconds of a charge back: consumed → allocation. The same `refund_id` again changes nothing.

    What the centre bore as overrun is nothing that the organisation could get back. Raises ChargeUnknown,
    AmountAboveCharge, IdempotencyConflict.
    """
    with transaction.atomic(), acting(actor, f"refund_book: {reason}"):
        allocation = Allocation.objects.select_related("voucher").get(pk=allocation_id)
        allocation_accounts_lock([allocation])
        known = Refund.objects.filter(pk=refund_id).first()
        if known is not None:
            if (known.charge, known.amount_gpu_seconds) != (record_charge_id, amount_gpu_seconds):
                raise IdempotencyConflict(f"refund {refund_id} is booked with other fields")
            return known
        carried = _carried(allocation, record_charge_id)
        left = carried.charged - carried.overrun - carried.refunded
        if amount_gpu_seconds <= 0 or amount_gpu_seconds > left:
            raise AmountAboveCharge(left_gpu_seconds=left, wanted_gpu_seconds=amount_gpu_seconds)
        entry = Entry.direct(
            id=refund_id,
            debit=allocation.consumed_account_id,
            credit=allocation.account_id,
            amount=amount_gpu_seconds,
            reason=f"refund: {reason}"[:REASON_LENGTH],
            event_at=event_at,
        )
        transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor), batch=record_charge_id)
        refund = Refund.objects.create(
            id=refund_id,
            allocation=allocation,
            charge=record_charge_id,
            amount_gpu_seconds=amount_gpu_seconds,
            reason=reason[:400],
            refunded_by=actor_key(actor),
            created_at=now(),
        )
        withdrawals_follow(account_ids=[allocation.account_id], event_at=event_at, actor=actor)
    return refund


def refund_left(allocation: Allocation, charge_id: UUID, *, wanted_gpu_seconds: int = 0) -> int:
    """What of a charge can still be refunded. Raises ChargeUnknown; AmountAboveCharge where more is wanted."""
    carried = _carried(allocation, charge_id)
    left = carried.charged - carried.overrun - carried.refunded
    if wanted_gpu_seconds > left:
        raise AmountAboveCharge(left_gpu_seconds=left, wanted_gpu_seconds=wanted_gpu_seconds)
    return left


def refund_take_back(
    *, refund_id: UUID, take_back_id: UUID, amount_gpu_seconds: int, event_at: datetime, reason: str, actor: Actor
) -> Refund:
    """Takes (a part of) a refund back: allocation → consumed. The same `take_back_id` again changes nothing.

    Raises AmountAboveCharge (more than is refunded of that charge), BalanceTooSmall (it is spent already).
    """
    with transaction.atomic(), acting(actor, f"refund_take_back: {reason}"):
        refund = Refund.objects.select_related("allocation__voucher").get(pk=refund_id)
        allocation = refund.allocation
        balance = allocation_accounts_lock([allocation])[allocation.account_id]
        known = Refund.objects.filter(pk=take_back_id).first()
        if known is not None:
            return known
        left = _carried(allocation, refund.charge).refunded
        if amount_gpu_seconds <= 0 or amount_gpu_seconds > left:
            raise AmountAboveCharge(left_gpu_seconds=left, wanted_gpu_seconds=amount_gpu_seconds)
        if amount_gpu_seconds > balance.free:
            raise BalanceTooSmall(free_gpu_seconds=balance.free, needed_gpu_seconds=amount_gpu_seconds)
        entry = Entry.direct(
            id=take_back_id,
            debit=allocation.account_id,
            credit=allocation.consumed_account_id,
            amount=amount_gpu_seconds,
            reason=f"refund taken back: {reason}"[:REASON_LENGTH],
            event_at=event_at,
        )
        transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor), batch=refund.charge)
        return Refund.objects.create(
            id=take_back_id,
            allocation=allocation,
            charge=refund.charge,
            amount_gpu_seconds=-amount_gpu_seconds,
            reason=reason[:400],
            refunded_by=actor_key(actor),
            created_at=now(),
        )


def _carried(allocation: Allocation, charge_id: UUID) -> _Carried:
    """Reads the charge's batch. Raises ChargeUnknown."""
    rows = list(transfers_of_batch(charge_id).filter(kind__in=[Transfer.Kind.DIRECT, Transfer.Kind.POST]))
    if not any(row.credit_id == allocation.consumed_account_id for row in rows):
        raise ChargeUnknown

    def net(account_id: int) -> int:
        return sum(row.amount * ((row.credit_id == account_id) - (row.debit_id == account_id)) for row in rows)

    refunded = Refund.objects.filter(charge=charge_id).aggregate(sum=Sum("amount_gpu_seconds"))["sum"] or 0
    return _Carried(
        charged=net(allocation.consumed_account_id) + refunded,
        overrun=-net(allocation.overrun_account_id),
        refunded=refunded,
    )
