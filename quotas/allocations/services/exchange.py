"""Another GPU type for a part of a voucher: given back with its money, awarded anew at the ratio of the tariffs.

What no project has is exchanged at once. What a project's allocation has is withdrawn first, and exchanged in the
transaction that confirms the withdrawal: after the lower limit was read back from Slurm.
"""

from dataclasses import dataclass
from uuid import uuid5

from django.db import transaction
from django.utils.translation import gettext as _

from portal.clock import centre_date, now
from quotas.allocations.errors import BalanceTooSmall, Invalid, QuotaError, VoucherEnded
from quotas.allocations.models import Allocation, ChangeRequest, Voucher, Withdrawal
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services.awards import voucher_award
from quotas.allocations.services.leaving import voucher_return
from quotas.allocations.services.money import money_lock, price_of_voucher
from quotas.allocations.services.prices import home_cluster
from quotas.allocations.services.voices import managers_tell
from quotas.ledger.selectors import balances
from quotas.programmes.errors import ProgrammeError
from quotas.programmes.models import ProgrammePool
from quotas.programmes.selectors import tariff_on

State = ChangeRequest.State


def exchanged(voucher: Voucher, gpu_type: str, amount_gpu_seconds: int) -> int:
    """What GPU-seconds of the voucher are in another GPU type, rounded down: at the ratio of the voucher's tariff to
    today's tariff of that type, so that the exchange costs nobody anything. Raises Invalid, TariffMissing."""
    known = ProgrammePool.objects.filter(programme=voucher.programme_id, gpu_type=gpu_type)
    if gpu_type == voucher.gpu_type or not known.exists():
        raise Invalid(_("Choose another GPU type that the programme has."), field="gpu_type")
    if not voucher.has_money:
        raise Invalid(_("This voucher has no tariff, so there is no ratio to exchange at."), field="gpu_type")
    price = price_of_voucher(voucher).tariff_vnd_per_gpu_hour
    tariff = tariff_on(gpu_type, centre_date(now()), home_cluster(voucher))
    other = amount_gpu_seconds * price // tariff.vnd_per_gpu_hour
    if other <= 0:
        raise Invalid(_("This is too little to be exchanged."), field="gpu_hours")
    return other


@dataclass(frozen=True)
class Sources:
    """Where GPU-seconds lie that are to be exchanged: with no project, and on one project's allocation."""

    unallocated: int
    allocation: Allocation | None = None
    from_allocation: int = 0


def exchange_sources(voucher: Voucher, amount_gpu_seconds: int) -> Sources:
    """Raises BalanceTooSmall; Invalid where the parts of several projects would be needed: a manager has to choose."""
    free = balances([voucher.account_id])[voucher.account_id].free
    if free >= amount_gpu_seconds:
        return Sources(amount_gpu_seconds)
    rows = list(voucher.allocations.filter(state=Allocation.State.ACTIVE).select_related("project"))
    known = allocation_balances([row.pk for row in rows])
    rows = [row for row in rows if known[row.pk].free > 0]
    within_reach = free + sum(known[row.pk].free for row in rows)
    if within_reach < amount_gpu_seconds:
        raise BalanceTooSmall(free_gpu_seconds=within_reach, needed_gpu_seconds=amount_gpu_seconds)
    if len(rows) > 1:
        text = _("Several projects have parts of this voucher: take back first what is to be exchanged.")
        raise Invalid(text, field="gpu_hours")
    return Sources(free, rows[0], amount_gpu_seconds - free)


def exchange_lock(request: ChangeRequest, *accounts: int) -> None:
    """Every account that an exchange touches, at once: two who award and exchange do not wait in a circle."""
    voucher = request.voucher
    pools = ProgrammePool.objects.filter(programme=voucher.programme_id, gpu_type=request.gpu_type)
    money_lock(voucher, account_ids=[*accounts, *pools.values_list("account_id", flat=True)])


def exchange_book(request: ChangeRequest, *, like: Allocation) -> None:
    """Gives unallocated GPU-seconds back with their money and awards their worth in the other type, because a voucher
    has one type: to the project and on the cluster of `like`. Under `exchange_lock`.

    Raises what `exchanged`, `voucher_return` and `voucher_award` raise; VoucherEnded.
    """
    voucher, amount, proposal = request.voucher, request.amount_gpu_seconds or 0, request.proposal
    assert proposal is not None
    if voucher.ends_on < centre_date(now()):
        raise VoucherEnded(voucher.ends_on)
    other, person = exchanged(voucher, request.gpu_type, amount), proposal.decided_by
    with transaction.atomic():
        voucher_return(
            voucher_id=voucher.pk,
            amount_gpu_seconds=amount,
            reason=f"exchanged for {request.gpu_type}",
            actor=person,
            batch=uuid5(proposal.pk, "exchange"),
        )
        voucher_award(
            organisation=voucher.organisation,
            project=like.project,
            programme=voucher.programme,
            gpu_type=request.gpu_type,
            amount_gpu_seconds=other,
            cluster=like.cluster,
            starts_on=centre_date(now()),
            ends_on=voucher.ends_on,
            actor=person,
            commitments=voucher.commitments,
            changed_from=voucher,
        )


def exchange_of(row: Withdrawal) -> ChangeRequest | None:
    """The approved exchange that a withdrawal was asked for by, locked."""
    rows = ChangeRequest.objects.select_for_update(of=("self",)).select_related(
        "voucher__organisation", "voucher__programme", "proposal"
    )
    return rows.filter(proposal=row.pk, state=State.APPROVED).first()


def exchange_finish(request: ChangeRequest, row: Withdrawal) -> None:
    """Once its GPU-seconds are back in the voucher. Where it cannot be done any more they stay there, and the managers
    read why."""
    try:
        exchange_book(request, like=row.allocation)
    except (QuotaError, ProgrammeError) as error:
        exchange_fail(request, str(error))
    else:
        request_close(request, State.APPLIED)
        _tell(request)


def exchange_fail(request: ChangeRequest, answer: str) -> None:
    request.answer = answer[:4_000]
    request_close(request, State.DECLINED)
    _tell(request)


def request_close(request: ChangeRequest, state: str) -> None:
    request.state, request.closed_at = state, now()
    request.save(update_fields=["state", "closed_at", "answer"])


def _tell(request: ChangeRequest) -> None:
    managers_tell(request.voucher, "change_closed", key=f"change:{request.pk}", change=request.pk)
