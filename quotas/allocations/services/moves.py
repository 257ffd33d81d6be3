"""Balance on its way from one cluster to another, in two halves.

The source's worker lowers the limit there and reads it back. Then, and not before, the GPU-seconds leave the allocation
(`move_depart`): they lie in the voucher, held for the target, and nobody can spend them. The target's worker takes them
in (`move_arrive`) and raises the limit there (`move_raised`). Until they are taken in, they can go back.

Each half is one transaction, which also writes the message for the worker that goes on. Done again it changes nothing.
"""

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Exists, OuterRef

from portal.audit.context import acting
from portal.clock import now
from portal.outbox.services import message_write
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import WrongState
from quotas.allocations.models import Allocation, ChangeRequest, Withdrawal
from quotas.allocations.services.follow import REASON_LENGTH, withdrawal_post, withdrawals_follow
from quotas.allocations.services.locks import allocation_accounts_lock
from quotas.ledger.models import Transfer
from quotas.ledger.services import Entry, transfers_book

LOWER_TOPIC, RAISE_TOPIC = "moves.lower", "moves.raise"
State = Withdrawal.State


def move_order(row: Withdrawal) -> None:
    """Asks the source's worker for the first half, in the caller's transaction."""
    _tell(LOWER_TOPIC, row, row.allocation)


def move_depart(row: Withdrawal, *, event_at: datetime, actor: Actor) -> None:
    """The first half, under the row's lock, in the caller's transaction: out of the source, held for the target."""
    assert row.target is not None
    onward = Entry.hold(
        id=_transit(row),
        debit=row.allocation.voucher.account_id,
        credit=row.target.account_id,
        amount=row.amount_gpu_seconds,
        reason=_reason(row),
        event_at=event_at,
    )
    entries = [withdrawal_post(row, event_at), onward]
    transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor), batch=row.pk)
    row.state, row.lowered_at = State.MOVING, now()
    row.save(update_fields=["state", "lowered_at"])
    _tell(RAISE_TOPIC, row, row.target)


def move_arrive(*, withdrawal_id: UUID, event_at: datetime, actor: Actor) -> bool:
    """The second half: what is held becomes the target's; returns whether this call did it.

    For scheduler, when the target's Slurm answers: its limit is raised next. Raises WrongState where the first half is
    not done or the move was cancelled.
    """
    with transaction.atomic(), acting(actor, "move_arrive"):
        row = withdrawal_lock(withdrawal_id)
        if row.state == State.CONFIRMED:
            return False
        if row.state != State.MOVING or row.target is None:
            raise WrongState(row.get_state_display())
        arrival = Entry.post(
            id=uuid5(row.pk, "arrival"),
            resolves=_transit(row),
            amount=row.amount_gpu_seconds,
            reason=_reason(row),
            event_at=event_at,
        )
        transfers_book(entries=[arrival], booked_at=now(), actor=actor_key(actor), batch=row.pk)
        row.state, row.resolved_at = State.CONFIRMED, now()
        row.save(update_fields=["state", "resolved_at"])
        # It may have ended since the move was asked for: then what arrives leaves it on that ground.
        withdrawals_follow(account_ids=[row.target.account_id], event_at=event_at, actor=actor)
    return True


def move_raised(*, withdrawal_id: UUID) -> None:
    """The target's higher limit was read back: the move is at its end. Again: nothing."""
    rows = Withdrawal.objects.filter(pk=withdrawal_id, state=State.CONFIRMED, raised_at=None)
    rows.update(raised_at=now())


def move_back(row: Withdrawal, *, reason: str, event_at: datetime, actor: Actor) -> None:
    """Undoes the first half, under the row's lock, in the caller's transaction."""
    allocation_accounts_lock([row.allocation])
    why = reason[:REASON_LENGTH]
    entries = [
        Entry.void(id=uuid5(row.pk, "no arrival"), resolves=_transit(row), reason=why, event_at=event_at),
        Entry.direct(
            id=uuid5(row.pk, "back"),
            debit=row.allocation.voucher.account_id,
            credit=row.allocation.account_id,
            amount=row.amount_gpu_seconds,
            reason=why,
            event_at=event_at,
        ),
    ]
    transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor), batch=row.pk)


def moves_give_way(allocation: Allocation, missing_gpu_seconds: int, *, event_at: datetime) -> tuple[int, list[Entry]]:
    """What jobs have used outranks what is to be somebody else's: cancels withdrawals that have not left yet, the
    youngest first, until the charge is covered. Answers the GPU-seconds freed and the entries that free them, to be
    booked with the charge, in the caller's transaction, which has the allocation's accounts locked.

    One that is being confirmed at this moment (its row is locked) was compared with all that ran, and stays.
    """
    freed, entries = 0, list[Entry]()
    exchanges = ChangeRequest.objects.filter(proposal=OuterRef("pk"), state=ChangeRequest.State.APPROVED)
    rows = Withdrawal.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        ~Exists(exchanges), allocation=allocation, state=State.REQUESTED, kind__in=Withdrawal.TO_OTHERS
    )
    for row in rows.select_related("allocation", "target").order_by("-created_at", "-id"):
        if freed >= missing_gpu_seconds:
            break
        why = "used by a job meanwhile"
        void = Entry.void(id=uuid5(row.pk, "void"), resolves=row.pk, reason=why, event_at=event_at)
        entries.append(void.in_batch(row.pk))
        freed += row.amount_gpu_seconds
        row.state, row.resolved_at = State.CANCELLED, now()
        row.save(update_fields=["state", "resolved_at"])
        if row.is_between_clusters:
            empty_target_close(row)
    return freed, entries


def empty_target_close(row: Withdrawal) -> None:
    """An allocation that was made for a move which was then cancelled never held anything: it takes no jobs."""
    target = row.target
    if target is None or Transfer.objects.filter(credit=target.account_id, kind__in=["direct", "post"]).exists():
        return
    if target.moves_in.filter(state__in=[State.REQUESTED, State.MOVING]).exists():
        return
    rows = Allocation.objects.filter(pk=target.pk, state=Allocation.State.ACTIVE)
    rows.update(state=Allocation.State.CLOSED, state_reason=row.reason, state_changed_at=now())


def withdrawal_lock(withdrawal_id: UUID) -> Withdrawal:
    rows = Withdrawal.objects.select_for_update(of=("self",))
    return rows.select_related("allocation__voucher", "target__voucher").get(pk=withdrawal_id)


def _transit(row: Withdrawal) -> UUID:
    """The hold, voucher to target, under which the GPU-seconds lie between the halves."""
    return uuid5(row.pk, "transit")


def _reason(row: Withdrawal) -> str:
    return f"{row.kind}: {row.reason}"[:REASON_LENGTH]


def _tell(topic: str, row: Withdrawal, where: Allocation) -> None:
    message_write(topic=topic, key=str(row.pk), payload={"move": str(row.pk)}, queue=f"cluster.{where.cluster}")
