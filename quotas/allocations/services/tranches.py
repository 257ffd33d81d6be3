"""Tranches: parts of an award that are held in the pool, the budget and the contribution until they are released."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from django.db import transaction

from portal.audit.context import acting
from portal.clock import centre_date, now
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import WrongState
from quotas.allocations.models import Allocation, Tranche, Voucher
from quotas.allocations.services.money import (
    Price,
    tranche_hold_entries,
    tranche_release_entries,
    tranche_shares,
    tranche_void_entries,
)
from quotas.ledger.services import Entry, transfers_book
from quotas.programmes.models import ProgrammePool

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TranchePlan:
    """A part of an award: released on a day, with an accepted report, or, with neither, by an operator."""

    amount_gpu_seconds: int
    release_on: date | None = None
    needs_report: bool = False

    def as_facts(self) -> dict[str, Any]:
        """As JSON values, for a proposal."""
        return asdict(self) | {"release_on": self.release_on.isoformat() if self.release_on else None}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "TranchePlan":
        release_on = facts["release_on"]
        return cls(**{**facts, "release_on": date.fromisoformat(release_on) if release_on else None})


def tranches_create(voucher: Voucher, plans: Sequence[TranchePlan], price: Price | None) -> list[Tranche]:
    """The rows of a new voucher's tranches; their money adds up to the voucher's shares."""
    shares = tranche_shares(price, [plan.amount_gpu_seconds for plan in plans])
    return Tranche.objects.bulk_create(
        Tranche(
            voucher=voucher,
            number=number,
            amount_gpu_seconds=plan.amount_gpu_seconds,
            state_vnd=state_vnd,
            own_vnd=own_vnd,
            hold=uuid4(),
            release_on=plan.release_on,
            needs_report=plan.needs_report,
        )
        for number, (plan, (state_vnd, own_vnd)) in enumerate(zip(plans, shares, strict=True), start=1)
    )


def tranche_entries(pool: ProgrammePool, rows: Sequence[Tranche]) -> list[Entry]:
    """The holds that an award begins with."""
    moment, entries = now(), []
    for row in rows:
        why = f"tranche {row.number} of voucher {row.voucher_id}"
        hold = Entry.hold(
            id=row.hold,
            debit=pool.account_id,
            credit=row.voucher.account_id,
            amount=row.amount_gpu_seconds,
            reason=why,
            event_at=moment,
        )
        entries += [hold, *tranche_hold_entries(row, reason=why, at=moment)]
    return entries


def tranche_release(*, tranche_id: int, allocation: Allocation | None = None, actor: Actor) -> None:
    """Releases a tranche, GPU-seconds and money, to its voucher and on to one of the voucher's allocations.

    Without an allocation it goes to the voucher's only active one; where there are several or none, it stays in the
    voucher, to be allocated by the organisation's manager. Raises WrongState if it is not pending.
    """
    voucher_id = Tranche.objects.values_list("voucher", flat=True).get(pk=tranche_id)
    if allocation is not None and allocation.voucher_id != voucher_id:
        raise ValueError("The allocation belongs to another voucher.")
    with transaction.atomic(), acting(actor, "tranche_release"):
        tranche = _tranche_take(tranche_id, Tranche.State.RELEASED)
        allocation = allocation or only_active(tranche.voucher)
        moment, amount = now(), tranche.amount_gpu_seconds
        why = f"release of tranche {tranche.number} of voucher {tranche.voucher_id}"
        entries = [Entry.post(id=uuid4(), resolves=tranche.hold, amount=amount, reason=why, event_at=moment)]
        if allocation is not None:
            debit, credit = tranche.voucher.account_id, allocation.account_id
            entries.append(
                Entry.direct(id=uuid4(), debit=debit, credit=credit, amount=amount, reason=why, event_at=moment)
            )
        entries += tranche_release_entries(tranche, reason=why, at=moment)
        transfers_book(entries=entries, booked_at=moment, actor=actor_key(actor))


def tranche_lose(*, tranche_id: int, reason: str, actor: Actor) -> None:
    """Gives a tranche back to the programme's pool and budget. Raises WrongState if it is not pending."""
    with transaction.atomic(), acting(actor, f"tranche_lose: {reason}"):
        tranche = _tranche_take(tranche_id, Tranche.State.LOST)
        void = Entry.void(id=uuid4(), resolves=tranche.hold, reason=reason, event_at=now())
        entries = [void, *tranche_void_entries(tranche, reason=reason, at=now())]
        transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor))


def tranches_due_release(*, actor: Actor) -> int:
    """Releases what is due by its day; returns how many. Idempotent: a released tranche is not pending any more."""
    today = centre_date(now())
    due = Tranche.objects.filter(
        state=Tranche.State.PENDING, release_on__lte=today, voucher__ends_on__gte=today
    ).order_by("voucher", "number")
    released = 0
    for pk in list(due.values_list("pk", flat=True)):
        try:
            tranche_release(tranche_id=pk, actor=actor)
        except WrongState:  # an operator was first
            logger.info("tranche %s was decided otherwise in the meantime", pk)
            continue
        released += 1
    return released


def only_active(voucher: Voucher) -> Allocation | None:
    """The allocation that more GPU-seconds of a voucher go on to; None where a manager has to choose."""
    active = list(voucher.allocations.filter(state=Allocation.State.ACTIVE)[:2])
    return active[0] if len(active) == 1 else None


def _tranche_take(tranche_id: int, state: str) -> Tranche:
    # Compare and set: of two operators who decide at once, the second is told.
    pending = Tranche.objects.filter(pk=tranche_id, state=Tranche.State.PENDING)
    if not pending.update(state=state, decided_at=now()):
        raise WrongState(Tranche.objects.get(pk=tranche_id).get_state_display())
    return Tranche.objects.select_related("voucher").get(pk=tranche_id)
