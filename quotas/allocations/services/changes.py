"""Changes of an awarded voucher: asked for by a manager, proposed by an operator, approved by another person."""

from datetime import date
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import User
from portal.people.rules import is_operator
from quotas.actors import actor_key
from quotas.allocations.errors import Invalid, MoneyTooSmall, PoolTooSmall, VoucherEnded, WrongState
from quotas.allocations.models import Allocation, ChangeRequest, Voucher, Withdrawal
from quotas.allocations.services.awards import award_check_room
from quotas.allocations.services.exchange import (
    exchange_book,
    exchange_lock,
    exchange_sources,
    exchanged,
    request_close,
)
from quotas.allocations.services.money import (
    approvals_of,
    award_money_entries,
    budget_account_id,
    price_of_voucher,
)
from quotas.allocations.services.progress import check_text
from quotas.allocations.services.tranches import only_active
from quotas.allocations.services.voices import centre_decides, managers_tell
from quotas.allocations.services.withdrawals import withdrawal_request
from quotas.ledger.errors import InsufficientBalance
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, transfers_book
from quotas.programmes.models import ProgrammePool
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_make

Kind, State = ChangeRequest.Kind, ChangeRequest.State


def change_request(
    *,
    voucher: Voucher,
    kind: str,
    reason: str,
    person: User,
    amount_gpu_seconds: int | None = None,
    ends_on: date | None = None,
    gpu_type: str = "",
) -> ChangeRequest:
    """Asks for a change of a voucher. Whether the person may do so is decided by who fetched the voucher.

    Raises VoucherEnded; Invalid with the field that is wrong; BalanceTooSmall of an exchange; TariffMissing of
    programmes.
    """
    check_text(reason, field="reason", most=4_000)
    today = centre_date(now())
    if voucher.ends_on < today:
        raise VoucherEnded(voucher.ends_on)
    wanted: dict[str, Any] = {}
    if kind == Kind.LONGER:
        if ends_on is None or ends_on <= voucher.ends_on:
            raise Invalid(_("Give a day after the voucher's present last day."), field="ends_on")
        if ends_on > voucher.programme.ends_on:
            raise Invalid(_("The programme itself ends before that day."), field="ends_on")
        wanted["ends_on"] = ends_on
    else:
        if amount_gpu_seconds is None or amount_gpu_seconds <= 0:
            raise Invalid(_("Give a number of GPU-hours above 0."), field="gpu_hours")
        wanted["amount_gpu_seconds"] = amount_gpu_seconds
    if kind == Kind.GPU_TYPE:
        exchanged(voucher, gpu_type, amount_gpu_seconds or 0)
        exchange_sources(voucher, amount_gpu_seconds or 0)
        wanted["gpu_type"] = gpu_type
    try:
        with transaction.atomic(), acting(person, f"change_request: {kind}"):
            return ChangeRequest.objects.create(
                voucher=voucher, kind=kind, reason=reason.strip(), requested_by=person, requested_at=now(), **wanted
            )
    except IntegrityError as error:
        raise Invalid(_("A request of this kind is open already."), field="kind") from error


def change_withdraw(*, request_id: int, person: User) -> None:
    """The organisation takes its request back. Raises WrongState."""
    with transaction.atomic(), acting(person, "change_withdraw"):
        request_close(_lock(request_id), State.WITHDRAWN)


def change_decline(*, request_id: int, answer: str, person: User) -> None:
    """Raises NotAllowed, ConflictOfInterest, WrongState, Invalid."""
    check_text(answer, field="answer", most=4_000)
    with transaction.atomic(), acting(person, "change_decline"):
        request = _lock(request_id)
        centre_decides(person, request.voucher.organisation, is_operator)
        request.answer = answer.strip()
        request_close(request, State.DECLINED)
        managers_tell(request.voucher, "change_closed", key=f"change:{request.pk}", change=request.pk)


def change_propose(*, request_id: int, reason: str, person: User) -> Proposal:
    """Proposes what a request asks for to another person. Raises NotAllowed, ConflictOfInterest, WrongState, Invalid
    of proposals."""
    with transaction.atomic():
        request = _lock(request_id)
        voucher, amount = request.voucher, request.amount_gpu_seconds or 0
        request.proposal = proposal_make(
            kind="voucher_change",
            facts={
                "request": request.pk,
                "voucher": voucher.number,
                "change": request.kind,
                "gpu_seconds": amount,
                "ends_on": request.ends_on.isoformat() if request.ends_on else None,
                "gpu_type": request.gpu_type,
            },
            reason=reason,
            person=person,
            organisation=voucher.organisation,
            approvals_needed=approvals_of(voucher, amount),
        )
        request.save(update_fields=["proposal"])
    return request.proposal


def change_carry_out(proposal: Proposal) -> None:
    """Applies an approved change. Raises WrongState, VoucherEnded, PoolTooSmall, MoneyTooSmall, BalanceTooSmall."""
    request = _lock(proposal.facts["request"], proposal=proposal)
    voucher = Voucher.objects.select_for_update(no_key=True).select_related("programme").get(pk=request.voucher_id)
    if voucher.ends_on < centre_date(now()):
        raise VoucherEnded(voucher.ends_on)
    person = proposal.decided_by
    if request.kind == Kind.MORE:
        _more(voucher, request.amount_gpu_seconds or 0, person)
    elif request.kind == Kind.LONGER:
        assert request.ends_on is not None
        _longer(voucher, request.ends_on)
    elif not _exchange(request, proposal):
        request.state = State.APPROVED
        request.save(update_fields=["state"])
        return
    request_close(request, State.APPLIED)
    managers_tell(voucher, "change_closed", key=f"change:{request.pk}", change=request.pk)


def _more(voucher: Voucher, amount: int, person: User) -> None:
    """More of the same, at the voucher's tariff and shares: a voucher has one price."""
    moment, why = now(), f"more for voucher {voucher.pk}"
    pool = ProgrammePool.objects.get(programme=voucher.programme_id, gpu_type=voucher.gpu_type)
    voucher.face_gpu_seconds += amount
    steps = [(pool.account_id, voucher.account_id)]
    allocation = only_active(voucher)
    if allocation is not None:
        steps.append((voucher.account_id, allocation.account_id))
    entries = [_direct(debit, credit, amount, why) for debit, credit in steps]
    state_more = own_more = 0
    if voucher.has_money:
        state, own = price_of_voucher(voucher).shares(voucher.face_gpu_seconds)
        state_more, own_more = state - (voucher.state_share_vnd or 0), own - (voucher.own_share_vnd or 0)
        voucher.state_share_vnd, voucher.own_share_vnd, voucher.face_vnd = state, own, state + own
        entries += award_money_entries(voucher, state_vnd=state_more, own_vnd=own_more, reason=why, at=moment)
    try:
        transfers_book(entries=entries, booked_at=moment, actor=actor_key(person))
    except InsufficientBalance as error:
        free, name = balances([error.account_id])[error.account_id].free, voucher.programme.name
        if voucher.has_money and error.account_id == budget_account_id(voucher):
            raise MoneyTooSmall(programme=name, free_vnd=free, needed_vnd=state_more) from error
        raise PoolTooSmall(
            programme=name, gpu_type=voucher.gpu_type, free_gpu_seconds=free, needed_gpu_seconds=amount
        ) from error
    voucher.save(update_fields=["face_gpu_seconds", "face_vnd", "state_share_vnd", "own_share_vnd"])


def _longer(voucher: Voucher, ends_on: date) -> None:
    """Allocations that end with their voucher end later with it; those that were given an earlier end keep it."""
    open_ = [Allocation.State.ACTIVE, Allocation.State.SUSPENDED]
    Allocation.objects.filter(voucher=voucher, ends_on=voucher.ends_on, state__in=open_).update(ends_on=ends_on)
    voucher.ends_on = ends_on
    voucher.save(update_fields=["ends_on"])


def _exchange(request: ChangeRequest, proposal: Proposal) -> bool:
    """Exchanges what no project has at once: True. Else it is withdrawn from its project first, and exchanged when the
    limit in Slurm was lowered (`exchange_finish`)."""
    voucher, amount, person = request.voucher, request.amount_gpu_seconds or 0, proposal.decided_by
    open_ = voucher.allocations.filter(state=Allocation.State.ACTIVE).order_by("pk")
    exchange_lock(request, *[row.account_id for row in open_.select_for_update(no_key=True)])
    sources = exchange_sources(voucher, amount)
    if sources.allocation is None:
        exchange_book(request, like=voucher.allocations.latest("pk"))
        return True
    allocation, other = sources.allocation, exchanged(voucher, request.gpu_type, amount)
    award_check_room(programme=voucher.programme, gpu_type=request.gpu_type, amount_gpu_seconds=other)
    if sources.unallocated:  # so that nobody else gets it meanwhile
        entry = _direct(voucher.account_id, allocation.account_id, sources.unallocated, f"change {request.pk}")
        transfers_book(entries=[entry], booked_at=now(), actor=actor_key(person))
    withdrawal_request(
        allocation_id=allocation.pk,
        kind=Withdrawal.Kind.RETURN,
        amount_gpu_seconds=amount,
        reason=f"exchanged for {request.gpu_type}",
        event_at=now(),
        actor=person,
        withdrawal_id=proposal.pk,
    )
    return False


def _lock(request_id: int, *, proposal: Proposal | None = None) -> ChangeRequest:
    """The request while it waits, and no other proposal for it does. Raises WrongState."""
    request = (
        ChangeRequest.objects.select_for_update(of=("self",))
        .select_related("voucher__organisation", "voucher__programme", "proposal")
        .get(pk=request_id)
    )
    if request.state != State.WAITING:
        raise WrongState(request.get_state_display())
    other = request.proposal
    if other is not None and other.state == Proposal.State.WAITING and other != proposal:
        raise WrongState(other.get_state_display())
    return request


def _direct(debit: int, credit: int, amount: int, reason: str) -> Entry:
    return Entry.direct(id=uuid4(), debit=debit, credit=credit, amount=amount, reason=reason, event_at=now())
