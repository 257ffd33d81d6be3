"""Charges: what a job's record used. A charge is always booked; what no balance covers is the centre's overrun."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.allocations.models import Allocation
from quotas.allocations.services.follow import withdrawals_follow
from quotas.allocations.services.holds import is_open
from quotas.allocations.services.locks import allocation_accounts_lock
from quotas.allocations.services.moves import moves_give_way
from quotas.ledger.errors import HoldUnknown, IdempotencyConflict
from quotas.ledger.models import Transfer
from quotas.ledger.selectors import holds_resolved_by
from quotas.ledger.services import Entry, transfers_book

# A charge is up to three movements into "consumed". The first that is needed bears the charge's own id, each other
# one an id made from it; so a replay finds all of them.
LEGS = ("free", "overrun", "overrun-in")


def leg_id(charge_id: UUID, revision: int, leg: str) -> UUID:
    """The id of a further transfer of a charge (revision 0) or of its n-th correction. Never change it."""
    return uuid5(charge_id, f"{revision}/{leg}")


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A record to be charged. `charge_id` is the caller's UUIDv5 of the record's key; amounts are GPU-seconds.

    `hold_id` is the hold that was taken for this run. `next_hold` (id, GPU-seconds) is for a run that follows it (a
    requeue).
    """

    charge_id: UUID
    allocation_id: int
    gpu_seconds: int
    hold_id: UUID | None
    event_at: datetime
    reason: str
    next_hold: tuple[UUID, int] | None = None


@dataclass(frozen=True, kw_only=True)
class BookedCharge:
    """Where a charge came from, in GPU-seconds; the three add up to it."""

    charge_id: UUID
    from_hold: int
    from_free: int
    overrun: int
    next_hold_taken: bool = False

    @property
    def gpu_seconds(self) -> int:
        return self.from_hold + self.from_free + self.overrun


def charges_book(*, charges: Sequence[Charge], actor: Actor) -> list[BookedCharge]:
    """Books charges, all or none, and answers in their order. Each is booked once, however often it is brought.

    A charge takes min(actual, hold) from its hold and frees the rest, an excess from the allocation's free balance,
    and only what is left from overrun; what is on its way to others, and has not left, stays for it. A hold that was
    voided in the meantime counts as none. Charges that give something back come before those that need more, and next
    holds come last: they are taken where the balance and the allocation's state allow it (`next_hold_taken`), else the
    caller holds the job in Slurm. No state or date refuses a charge.

    Raises HoldUnknown; IdempotencyConflict where a charge was booked with another amount.
    """
    with transaction.atomic():
        allocations = {
            row.pk: row
            for row in Allocation.objects.filter(pk__in={charge.allocation_id for charge in charges})
            .select_related("voucher")
            .order_by("pk")
        }
        balances = allocation_accounts_lock(allocations.values())
        free = {pk: balances[row.account_id].free for pk, row in allocations.items()}
        stored = _stored(charges)  # after the lock: what the one we waited for has booked is seen
        booked: dict[UUID, BookedCharge] = {}
        fresh: list[tuple[Charge, Transfer | None]] = []
        for charge in {charge.charge_id: charge for charge in charges}.values():
            known = _as_stored(charge, stored)
            if known is None:
                fresh.append((charge, _open_hold(charge, allocations[charge.allocation_id], stored)))
            else:
                booked[charge.charge_id] = known
        entries = _moves_give_way(fresh, allocations, free)
        for charge, hold in _releasing_first(fresh):
            allocation = allocations[charge.allocation_id]
            result = _split(charge, hold, free[allocation.pk])
            free[allocation.pk] += (hold.amount if hold else 0) - result.from_hold - result.from_free
            entries += _charge_entries(charge, hold, allocation, result)
            booked[charge.charge_id] = result
        for charge, _hold in fresh:
            next_hold = _next_hold_entry(charge, allocations[charge.allocation_id], free)
            if next_hold is not None:
                entries.append(next_hold)
                booked[charge.charge_id] = replace(booked[charge.charge_id], next_hold_taken=True)
        transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor))
        if fresh:
            accounts = {allocations[charge.allocation_id].account_id for charge, _hold in fresh}
            withdrawals_follow(account_ids=accounts, event_at=fresh[0][0].event_at, actor=actor)
    return [booked[charge.charge_id] for charge in charges]


def _moves_give_way(
    fresh: Sequence[tuple[Charge, Transfer | None]], allocations: dict[int, Allocation], free: dict[int, int]
) -> list[Entry]:
    """Nothing is lent for what is still there, though on its way to somebody else."""
    missing = {pk: -amount for pk, amount in free.items()}
    for charge, hold in fresh:
        missing[charge.allocation_id] += charge.gpu_seconds - (hold.amount if hold else 0)
    entries: list[Entry] = []
    for pk, amount in missing.items():
        if amount > 0:
            freed, voids = moves_give_way(allocations[pk], amount, event_at=fresh[0][0].event_at)
            free[pk] += freed
            entries += voids
    return entries


def _stored(charges: Iterable[Charge]) -> dict[UUID, Transfer]:
    """What the ledger has of the charges, their holds (and what resolved these, under the hold's own key) and next
    holds."""
    ids: set[UUID] = set()
    holds = {charge.hold_id for charge in charges if charge.hold_id}
    for charge in charges:
        ids |= {charge.charge_id, *(leg_id(charge.charge_id, 0, leg) for leg in LEGS)}
        ids |= {charge.next_hold[0]} if charge.next_hold else set()
    found = {row.pk: row for row in Transfer.objects.filter(pk__in=ids | holds)}
    resolved = holds_resolved_by(holds)
    for hold_id in holds:
        hold = found.get(hold_id)
        if hold is None or hold.kind != Transfer.Kind.HOLD:
            raise HoldUnknown(str(hold_id))
        hold.resolver = resolved.get(hold_id)  # type: ignore[attr-defined]
    return found


def _as_stored(charge: Charge, stored: dict[UUID, Transfer]) -> BookedCharge | None:
    """The charge as it was booked before, or None."""
    first = stored.get(charge.charge_id)
    if first is None:
        return None
    free, overrun, lent = (stored.get(leg_id(charge.charge_id, 0, leg)) for leg in LEGS)
    total = first.amount + sum(row.amount for row in (free, overrun) if row)
    if total != charge.gpu_seconds:
        raise IdempotencyConflict(f"charge {charge.charge_id} is booked with {total} GPU-seconds")
    from_hold = first.amount if first.kind == Transfer.Kind.POST else 0
    overran = lent.amount if lent else 0
    return BookedCharge(
        charge_id=charge.charge_id,
        from_hold=from_hold,
        from_free=total - from_hold - overran,
        overrun=overran,
        next_hold_taken=charge.next_hold is not None and charge.next_hold[0] in stored,
    )


def _open_hold(charge: Charge, allocation: Allocation, stored: dict[UUID, Transfer]) -> Transfer | None:
    if charge.hold_id is None:
        return None
    hold = stored[charge.hold_id]
    if hold.debit_id != allocation.account_id or hold.credit_id != allocation.consumed_account_id:
        raise HoldUnknown(f"hold {charge.hold_id} is not one of allocation {allocation.pk}")
    return None if hold.resolver else hold  # type: ignore[attr-defined]


def _releasing_first(fresh: list[tuple[Charge, Transfer | None]]) -> Iterator[tuple[Charge, Transfer | None]]:
    """Charges that give something back, then those that need more. Of two that name one hold, the first has it."""
    used: set[UUID] = set()
    for charge, hold in sorted(fresh, key=lambda pair: pair[0].gpu_seconds - (pair[1].amount if pair[1] else 0)):
        yield charge, None if hold is None or hold.pk in used else hold
        used |= {hold.pk} if hold else set()


def _split(charge: Charge, hold: Transfer | None, free: int) -> BookedCharge:
    from_hold = min(charge.gpu_seconds, hold.amount) if hold else 0
    from_free = min(charge.gpu_seconds - from_hold, max(free, 0))
    overrun = charge.gpu_seconds - from_hold - from_free
    return BookedCharge(charge_id=charge.charge_id, from_hold=from_hold, from_free=from_free, overrun=overrun)


def _charge_entries(charge: Charge, hold: Transfer | None, allocation: Allocation, split: BookedCharge) -> list[Entry]:
    entries: list[Entry] = []
    if hold is not None:
        post = Entry.post(
            id=charge.charge_id,
            resolves=hold.pk,
            amount=split.from_hold,
            reason=charge.reason,
            event_at=charge.event_at,
        )
        entries.append(post.in_batch(charge.charge_id))
    return entries + consumption(
        allocation,
        charge_id=charge.charge_id,
        revision=0,
        from_free=split.from_free,
        overrun=split.overrun,
        first_id=None if entries else charge.charge_id,
        reason=charge.reason,
        event_at=charge.event_at,
    )


def consumption(
    allocation: Allocation,
    *,
    charge_id: UUID,
    revision: int,
    from_free: int,
    overrun: int,
    first_id: UUID | None,
    reason: str,
    event_at: datetime,
) -> list[Entry]:
    """Entries that take GPU-seconds from the free balance and, for what it lacks, from the centre's overrun account."""

    def direct(id: UUID, debit: int, credit: int, amount: int) -> Entry:
        entry = Entry.direct(id=id, debit=debit, credit=credit, amount=amount, reason=reason, event_at=event_at)
        return entry.in_batch(charge_id)

    entries: list[Entry] = []
    if from_free > 0:
        leg = first_id or leg_id(charge_id, revision, "free")
        entries.append(direct(leg, allocation.account_id, allocation.consumed_account_id, from_free))
        first_id = None
    if overrun > 0:
        lent = leg_id(charge_id, revision, "overrun-in")
        leg = first_id or leg_id(charge_id, revision, "overrun")
        entries.append(direct(lent, allocation.overrun_account_id, allocation.account_id, overrun))
        entries.append(direct(leg, allocation.account_id, allocation.consumed_account_id, overrun))
    return entries


def _next_hold_entry(charge: Charge, allocation: Allocation, free: dict[int, int]) -> Entry | None:
    if charge.next_hold is None:
        return None
    hold_id, amount = charge.next_hold
    if amount > free[allocation.pk] or not is_open(allocation, charge.event_at):
        return None
    free[allocation.pk] -= amount
    hold = Entry.hold(
        id=hold_id,
        debit=allocation.account_id,
        credit=allocation.consumed_account_id,
        amount=amount,
        reason=charge.reason,
        event_at=charge.event_at,
    )
    return hold.in_batch(charge.charge_id)
