"""Budgets in the ledger. A budget is funded from a source account, which alone may go below zero.

On the pages a budget changes through a proposal that other people approve; `programme_fund` and `money_fund` are what
is left to set-up, imports and tests.
"""

import re
from collections.abc import Mapping
from uuid import UUID, uuid4, uuid5

from django.db import transaction
from django.utils.translation import gettext as _

from portal.clock import now
from portal.people.models import User
from quotas.actors import Actor, actor_key
from quotas.ledger.errors import InsufficientBalance
from quotas.ledger.models import Account, Transfer
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, transfers_book
from quotas.programmes.errors import BudgetInvalid, BudgetTooSmall, Invalid
from quotas.programmes.models import Programme, ProgrammeBudget, ProgrammePool
from quotas.programmes.selectors import worth_today_vnd
from quotas.programmes.terms import approvals_needed
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_make
from quotas.units import SECONDS_PER_HOUR, VND, ledger_unit

GPU_TYPE_FORM = r"[a-z0-9][a-z0-9._-]{0,31}"  # a Slurm GRES type in lower case
VND_MOST = 10**15  # a hundred times the centre's price: a slip of the keyboard, not a budget
GPU_SECONDS_MOST = 100_000_000 * SECONDS_PER_HOUR


def programme_fund(
    *,
    programme: Programme,
    gpu_type: str,
    amount_gpu_seconds: int,
    actor: Actor,
    funding_id: UUID | None = None,
    reason: str = "budget",
) -> ProgrammePool:
    """Adds GPU-seconds to a programme's budget of one GPU type. The same `funding_id` twice adds once.

    Raises BudgetInvalid; IdempotencyConflict where the id is used for something else.
    """
    if not re.fullmatch(GPU_TYPE_FORM, gpu_type) or amount_gpu_seconds <= 0:
        raise BudgetInvalid
    with transaction.atomic():
        pool = pool_ensure(programme=programme, gpu_type=gpu_type)
        _fund(pool, amount_gpu_seconds, actor, funding_id, reason)
    return pool


def money_fund(
    *, programme: Programme, amount_vnd: int, actor: Actor, funding_id: UUID | None = None, reason: str = "budget"
) -> ProgrammeBudget:
    """Adds VND to a programme's budget. The same `funding_id` twice adds once. Raises BudgetInvalid."""
    if amount_vnd <= 0:
        raise BudgetInvalid
    with transaction.atomic():
        budget = budget_ensure(programme=programme)
        _fund(budget, amount_vnd, actor, funding_id, reason)
    return budget


def _fund(
    purse: ProgrammePool | ProgrammeBudget, amount: int, actor: Actor, funding_id: UUID | None, reason: str
) -> None:
    known = Transfer.objects.filter(pk=funding_id).first() if funding_id else None
    if known is not None and (known.credit_id, known.amount) == (purse.account_id, amount):
        return
    entry = Entry.direct(
        id=funding_id or uuid4(),
        debit=purse.source_account_id,
        credit=purse.account_id,
        amount=amount,
        reason=reason,
        event_at=now(),
    )
    transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor))


def pool_ensure(*, programme: Programme, gpu_type: str) -> ProgrammePool:
    """The programme's pool of a GPU type, made empty where it is missing."""
    with transaction.atomic():
        # Two who fund a new type at once: the second waits here and finds the first one's pool.
        Programme.objects.select_for_update(no_key=True).get(pk=programme.pk)
        pool = ProgrammePool.objects.filter(programme=programme, gpu_type=gpu_type).first()
        if pool is None:
            owner, unit = f"programme {programme.slug}", ledger_unit(gpu_type)
            source = account_create(unit=unit, kind=Account.Kind.SOURCE, owner=owner, may_overdraw=True)
            account = account_create(unit=unit, kind=Account.Kind.POOL, owner=owner)
            pool = ProgrammePool.objects.create(
                programme=programme, gpu_type=gpu_type, account=account, source_account=source
            )
    return pool


def budget_ensure(*, programme: Programme) -> ProgrammeBudget:
    """The programme's budget in VND, made empty where it is missing."""
    with transaction.atomic():
        Programme.objects.select_for_update(no_key=True).get(pk=programme.pk)  # as above
        budget = ProgrammeBudget.objects.filter(programme=programme).first()
        if budget is None:
            owner = f"programme {programme.slug}"
            source = account_create(unit=VND, kind=Account.Kind.SOURCE, owner=owner, may_overdraw=True)
            account = account_create(unit=VND, kind=Account.Kind.BUDGET, owner=owner)
            budget = ProgrammeBudget.objects.create(programme=programme, account=account, source_account=source)
    return budget


def budget_propose(
    *, programme: Programme, reason: str, person: User, vnd: int = 0, gpu_seconds: Mapping[str, int] | None = None
) -> Proposal:
    """Asks other people to add to a programme's budgets, or with negative amounts to take back what is free.

    Above the programme's limit two people approve; GPU-seconds count at today's tariff, where there is one. Raises
    Invalid (with the field that is wrong), NotAllowed and Invalid of proposals.
    """
    amounts = {gpu_type: amount for gpu_type, amount in (gpu_seconds or {}).items() if amount}
    if programme.imported:
        raise Invalid(_("Imported history has no budget of its own."))
    if not vnd and not amounts:
        raise Invalid(_("Give an amount of money or of GPU-hours."), field="vnd")
    if abs(vnd) > VND_MOST:
        raise Invalid(_("This is more money than any budget has."), field="vnd")
    for gpu_type, amount in amounts.items():
        if not re.fullmatch(GPU_TYPE_FORM, gpu_type):
            raise Invalid(_("Write the GPU type in lower-case letters and digits, as Slurm does."), field="gpu_type")
        if abs(amount) > GPU_SECONDS_MOST:
            raise Invalid(_("This is more GPU-hours than any budget has."), field="gpu_hours")
    worth_vnd = abs(vnd) + sum(worth_today_vnd(gpu_type, abs(amount)) or 0 for gpu_type, amount in amounts.items())
    return proposal_make(
        kind="budget",
        facts={"programme": programme.pk, "name": programme.name, "vnd": vnd, "gpu_seconds": amounts},
        reason=reason,
        person=person,
        approvals_needed=approvals_needed(programme, worth_vnd),
    )


def budget_carry_out(proposal: Proposal) -> None:
    """Books what a budget proposal says, in one batch that bears the proposal's id. Raises BudgetTooSmall."""
    programme = Programme.objects.get(pk=proposal.facts["programme"])
    wanted: list[tuple[str | None, ProgrammePool | ProgrammeBudget, int]] = []
    if vnd := proposal.facts["vnd"]:
        wanted.append((None, budget_ensure(programme=programme), vnd))
    for gpu_type, amount in sorted(proposal.facts["gpu_seconds"].items()):
        wanted.append((gpu_type, pool_ensure(programme=programme, gpu_type=gpu_type), amount))
    moment = now()
    entries = [
        Entry.direct(
            id=uuid5(proposal.pk, gpu_type or VND),
            debit=purse.source_account_id if amount > 0 else purse.account_id,
            credit=purse.account_id if amount > 0 else purse.source_account_id,
            amount=abs(amount),
            reason=f"budget of {programme.slug}",
            event_at=moment,
        )
        for gpu_type, purse, amount in wanted
    ]
    try:
        transfers_book(entries=entries, booked_at=moment, actor=actor_key(proposal.decided_by), batch=proposal.pk)
    except InsufficientBalance as error:
        [(gpu_type, purse, amount)] = [row for row in wanted if row[1].account_id == error.account_id]
        free = balances([purse.account_id])[purse.account_id].free
        raise BudgetTooSmall(gpu_type=gpu_type, free=free, wanted=abs(amount)) from error
