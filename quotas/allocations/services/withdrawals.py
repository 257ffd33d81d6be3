"""Taking GPU-seconds out of an allocation: reserve, let scheduler lower the limit in Slurm, then move them.

Until the limit was read back, Slurm could still start a job on them. So they are nobody else's before
`withdrawal_confirm`.
"""

from datetime import datetime
from uuid import UUID, uuid4, uuid5

from django.db import transaction

from portal.audit.context import acting
from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import BalanceTooSmall, OtherVoucher, ProjectOfAnotherOrganisation, WrongState
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services.exchange import exchange_fail, exchange_finish, exchange_lock, exchange_of
from quotas.allocations.services.follow import (
    REASON_LENGTH,
    withdrawal_post,
    withdrawal_take,
    withdrawals_follow,
)
from quotas.allocations.services.locks import allocation_accounts_lock, allocation_lock
from quotas.allocations.services.money import money_lock, unspent_back_entries
from quotas.allocations.services.moves import empty_target_close, move_back, move_depart, move_order, withdrawal_lock
from quotas.allocations.services.prices import price_check
from quotas.ledger.services import Entry, transfers_book

Kind, State = Withdrawal.Kind, Withdrawal.State


def withdrawal_request(
    *,
    allocation_id: int,
    kind: str,
    amount_gpu_seconds: int,
    reason: str,
    event_at: datetime,
    actor: Actor,
    target_id: int | None = None,
    withdrawal_id: UUID | None = None,
) -> list[Withdrawal]:
    """Reserves GPU-seconds on their way out. A clawback may also want what jobs hold: that part waits for them.

    A move names its target, an active allocation of the same voucher; where that is on another cluster, the workers of
    both are asked in turn (`moves`). The same `withdrawal_id` again changes nothing. Raises BalanceTooSmall, WrongState
    (the target's), ProjectOfAnotherOrganisation, OtherVoucher, ClusterClosed, TariffsDiffer.
    """
    first_id = withdrawal_id or uuid4()
    with transaction.atomic(), acting(actor, f"withdrawal_request: {reason}"):
        allocation = allocation_lock(allocation_id)
        known = list(Withdrawal.objects.filter(pk__in=[first_id, uuid5(first_id, "rest")]))
        if known:
            return known
        target = _target(allocation, target_id) if kind == Kind.MOVE else None
        balance = allocation_accounts_lock([allocation])[allocation.account_id]
        held_by_jobs = balance.debits_pending - _requested_gpu_seconds(allocation)
        within_reach = balance.free + (held_by_jobs if kind == Kind.CLAWBACK else 0)
        if amount_gpu_seconds > within_reach:
            raise BalanceTooSmall(free_gpu_seconds=within_reach, needed_gpu_seconds=amount_gpu_seconds)
        at_once = min(amount_gpu_seconds, balance.free)
        rows: list[Withdrawal] = []
        if at_once > 0:
            rows.append(
                withdrawal_take(
                    withdrawal_id=first_id,
                    allocation=allocation,
                    kind=kind,
                    amount_gpu_seconds=at_once,
                    reason=reason,
                    requested_by=actor_key(actor),
                    event_at=event_at,
                    target=target,
                )
            )
            if rows[0].is_between_clusters:
                move_order(rows[0])
        if amount_gpu_seconds > at_once:
            waiting = Withdrawal.objects.create(
                id=uuid5(first_id, "rest"),
                allocation=allocation,
                kind=kind,
                amount_gpu_seconds=amount_gpu_seconds - at_once,
                state=State.WAITING,
                reason=reason,
                requested_by=actor_key(actor),
                created_at=now(),
            )
            rows.append(waiting)
    return rows


def withdrawal_confirm(*, withdrawal_id: UUID, event_at: datetime, actor: Actor) -> bool:
    """Moves what was reserved; returns whether this call did it. Again: nothing. Of a move to another cluster it is the
    first half.

    For scheduler, and only for a withdrawal that was in the limit which it wrote and read back since (see
    `selectors.allocation_limits`). Raises WrongState if the withdrawal was cancelled or still waits for jobs.
    """
    with transaction.atomic(), acting(actor, "withdrawal_confirm"):
        row = withdrawal_lock(withdrawal_id)
        if row.state in (State.MOVING, State.CONFIRMED):
            return False
        if row.state != State.REQUESTED:
            raise WrongState(row.get_state_display())
        if row.is_between_clusters:
            move_depart(row, event_at=event_at, actor=actor)
            return True
        voucher, entries = row.allocation.voucher, [withdrawal_post(row, event_at)]
        exchange = exchange_of(row)
        if exchange is not None:
            exchange_lock(exchange, row.allocation.account_id)
        onward = _onward_account(row)
        if onward == row.allocation.expired_account_id:
            money_lock(voucher, account_ids=[row.allocation.account_id, onward])
            entries += unspent_back_entries(
                voucher,
                leaving_gpu_seconds=row.amount_gpu_seconds,
                batch=row.pk,
                reason=f"{row.kind}: {row.reason}"[:REASON_LENGTH],
                at=event_at,
            )
        if onward is not None:
            step = Entry.direct(
                id=uuid5(row.pk, "onward"),
                debit=voucher.account_id,
                credit=onward,
                amount=row.amount_gpu_seconds,
                reason=f"{row.kind}: {row.reason}"[:REASON_LENGTH],
                event_at=event_at,
            )
            entries.append(step)
        transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor), batch=row.pk)
        row.state, row.resolved_at = State.CONFIRMED, now()
        row.save(update_fields=["state", "resolved_at"])
        if row.target is not None:  # it may have ended since the move was asked for
            withdrawals_follow(account_ids=[row.target.account_id], event_at=event_at, actor=actor)
        if exchange is not None:
            exchange_finish(exchange, row)
    return True


def withdrawal_cancel(*, withdrawal_id: UUID, reason: str, event_at: datetime, actor: Actor) -> None:
    """Gives back what was reserved, or is between two clusters. Raises WrongState once it is confirmed, and for an
    expiry: time does not turn back."""
    with transaction.atomic(), acting(actor, f"withdrawal_cancel: {reason}"):
        row = withdrawal_lock(withdrawal_id)
        if row.state == State.CANCELLED:
            return
        if row.state == State.CONFIRMED or row.kind == Kind.EXPIRY:
            raise WrongState(row.get_state_display())
        if row.state == State.REQUESTED:
            allocation_accounts_lock([row.allocation])
            void = Entry.void(
                id=uuid5(row.pk, "void"), resolves=row.pk, reason=reason[:REASON_LENGTH], event_at=event_at
            )
            transfers_book(entries=[void], booked_at=now(), actor=actor_key(actor), batch=row.pk)
        elif row.state == State.MOVING:
            move_back(row, reason=reason, event_at=event_at, actor=actor)
        row.state, row.resolved_at = State.CANCELLED, now()
        row.save(update_fields=["state", "resolved_at"])
        if row.is_between_clusters:
            empty_target_close(row)
        if (exchange := exchange_of(row)) is not None:
            exchange_fail(exchange, reason)
        # If the allocation has ended in the meantime, what is given back here leaves it on that ground.
        withdrawals_follow(account_ids=[row.allocation.account_id], event_at=event_at, actor=actor)


def _target(allocation: Allocation, target_id: int | None) -> Allocation:
    if target_id is None:
        raise ValueError("A move names its target.")
    target = Allocation.objects.select_related("project").get(pk=target_id)
    if target.project.organisation_id != allocation.voucher.organisation_id or target.pk == allocation.pk:
        raise ProjectOfAnotherOrganisation
    if target.voucher_id != allocation.voucher_id:
        raise OtherVoucher
    if target.state != Allocation.State.ACTIVE:
        raise WrongState(target.get_state_display())
    if target.cluster != allocation.cluster:
        price_check(allocation.voucher, allocation.cluster, target.cluster)
    return target


def _requested_gpu_seconds(allocation: Allocation) -> int:
    rows = allocation.withdrawals.filter(state=State.REQUESTED)
    return sum(rows.values_list("amount_gpu_seconds", flat=True))


def _onward_account(row: Withdrawal) -> int | None:
    """Where the voucher passes it on to; None: it stays there, to be allocated again."""
    if row.kind == Kind.MOVE and row.target is not None:
        return row.target.account_id
    return None if row.kind == Kind.RETURN else row.allocation.expired_account_id
