"""What an operator does to a voucher only with another person: move, claw back, refund, take a refund back."""

from collections.abc import Mapping
from uuid import UUID

from django.utils.translation import gettext as _

from portal.clock import now
from portal.people.models import User
from quotas.actors import Actor
from quotas.allocations.errors import Invalid
from quotas.allocations.models import Allocation, Refund, Voucher, Withdrawal
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services.corrections import refund_book, refund_left, refund_take_back
from quotas.allocations.services.endings import voucher_clawback
from quotas.allocations.services.money import approvals_of
from quotas.allocations.services.other_cluster import cluster_move, cluster_move_check
from quotas.allocations.services.withdrawals import withdrawal_request
from quotas.money import WHOLE_BASIS_POINTS
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_make


def move_propose(
    *, source: Allocation, target: Allocation, amount_gpu_seconds: int, reason: str, person: User
) -> Proposal:
    """A move between two allocations of one voucher, by the centre. Raises Invalid."""
    _check_amount(amount_gpu_seconds)
    if target.voucher_id != source.voucher_id or target.pk == source.pk:
        raise Invalid(_("Choose another allocation of the same voucher."), field="target")
    facts = {"allocation": source.pk, "target": target.pk, "gpu_seconds": amount_gpu_seconds}
    return _propose("voucher_move", source.voucher, facts, amount_gpu_seconds, reason, person)


def move_carry_out(proposal: Proposal) -> None:
    """Raises BalanceTooSmall, WrongState."""
    withdrawal_request(
        allocation_id=proposal.facts["allocation"],
        kind=Withdrawal.Kind.MOVE,
        amount_gpu_seconds=proposal.facts["gpu_seconds"],
        reason=proposal.reason[:400],
        event_at=now(),
        actor=proposal.decided_by,
        target_id=proposal.facts["target"],
        withdrawal_id=proposal.pk,
    )


def cluster_move_propose(
    *, source: Allocation, cluster: str, amount_gpu_seconds: int, reason: str, person: User
) -> Proposal:
    """A part of an allocation to the same project on another cluster, by the centre. Raises Invalid, ClusterClosed,
    TariffsDiffer."""
    _check_amount(amount_gpu_seconds)
    cluster_move_check(source, cluster)
    facts = {"allocation": source.pk, "cluster": cluster, "gpu_seconds": amount_gpu_seconds}
    return _propose("cluster_move", source.voucher, facts, amount_gpu_seconds, reason, person)


def cluster_move_carry_out(proposal: Proposal) -> None:
    """Raises BalanceTooSmall, WrongState, ClusterClosed, TariffsDiffer."""
    cluster_move(
        source_id=proposal.facts["allocation"],
        cluster=proposal.facts["cluster"],
        amount_gpu_seconds=proposal.facts["gpu_seconds"],
        reason=proposal.reason[:400],
        actor=proposal.decided_by,
        withdrawal_id=proposal.pk,
    )


def clawback_propose(*, voucher: Voucher, basis_points: int, reason: str, person: User) -> Proposal:
    """A share of what is unspent when the last person approves. Raises Invalid."""
    if not 0 < basis_points <= WHOLE_BASIS_POINTS:
        raise Invalid(_("Give a share between 0 and 100 %."), field="percent")
    facts = {"voucher": voucher.pk, "basis_points": basis_points}
    worth = voucher.face_gpu_seconds * basis_points // WHOLE_BASIS_POINTS
    return _propose("clawback", voucher, facts, worth, reason, person)


def clawback_carry_out(proposal: Proposal) -> None:
    voucher_clawback(
        voucher_id=proposal.facts["voucher"],
        basis_points=proposal.facts["basis_points"],
        reason=proposal.reason[:400],
        actor=proposal.decided_by,
    )


def refund_propose(
    *, allocation: Allocation, charge_id: UUID, amount_gpu_seconds: int, reason: str, person: Actor
) -> Proposal:
    """GPU-seconds of one charge back to its allocation. Raises Invalid, ChargeUnknown, AmountAboveCharge."""
    _check_amount(amount_gpu_seconds)
    refund_left(allocation, charge_id, wanted_gpu_seconds=amount_gpu_seconds)
    facts = {"allocation": allocation.pk, "charge": str(charge_id), "gpu_seconds": amount_gpu_seconds}
    return _propose("refund", allocation.voucher, facts, amount_gpu_seconds, reason, person)


def refund_propose_for_failed_node(
    *, allocation_id: int, charge_id: UUID, amount_gpu_seconds: int, reason: str, process: str
) -> Proposal | None:
    """Proposed by a process, once for each charge whatever became of it; None where there was one before.

    In the caller's transaction, which has locked the record: two who settle at once do not propose twice.
    """
    known = Proposal.objects.filter(kind="refund", facts__charge=str(charge_id), proposed_by__isnull=True)
    if amount_gpu_seconds <= 0 or known.exists():
        return None
    allocation = Allocation.objects.select_related("voucher__programme", "voucher__organisation").get(pk=allocation_id)
    facts = {"allocation": allocation.pk, "charge": str(charge_id), "gpu_seconds": amount_gpu_seconds}
    return _propose("refund", allocation.voucher, facts, amount_gpu_seconds, reason, process)


def refund_carry_out(proposal: Proposal) -> None:
    """Raises AmountAboveCharge, ChargeUnknown."""
    refund_book(
        allocation_id=proposal.facts["allocation"],
        record_charge_id=UUID(proposal.facts["charge"]),
        refund_id=proposal.pk,
        amount_gpu_seconds=proposal.facts["gpu_seconds"],
        event_at=now(),
        reason=proposal.reason[:400],
        actor=proposal.decided_by,
    )


def correction_propose(*, refund: Refund, amount_gpu_seconds: int, reason: str, person: User) -> Proposal:
    """Takes back what a refund gave too much. (A changed record of Slurm's is corrected by settlement itself.)"""
    _check_amount(amount_gpu_seconds)
    facts = {"refund": str(refund.pk), "allocation": refund.allocation_id, "gpu_seconds": amount_gpu_seconds}
    return _propose("correction", refund.allocation.voucher, facts, amount_gpu_seconds, reason, person)


def correction_carry_out(proposal: Proposal) -> None:
    """Raises AmountAboveCharge, BalanceTooSmall."""
    refund_take_back(
        refund_id=UUID(proposal.facts["refund"]),
        take_back_id=proposal.pk,
        amount_gpu_seconds=proposal.facts["gpu_seconds"],
        event_at=now(),
        reason=proposal.reason,
        actor=proposal.decided_by,
    )


def clawback_estimate_gpu_seconds(voucher: Voucher, basis_points: int) -> int:
    """What a clawback would take now from the allocations: for the sentence before the button."""
    known = allocation_balances(voucher.allocations.values_list("pk", flat=True))
    return sum((row.free + row.held) * basis_points // WHOLE_BASIS_POINTS for row in known.values())


def _propose(
    kind: str, voucher: Voucher, facts: Mapping[str, object], amount_gpu_seconds: int, reason: str, person: Actor
) -> Proposal:
    return proposal_make(
        kind=kind,
        facts={**facts, "number": voucher.number, "gpu_type": voucher.gpu_type},
        reason=reason,
        person=person,
        organisation=voucher.organisation,
        approvals_needed=approvals_of(voucher, amount_gpu_seconds),
    )


def _check_amount(amount_gpu_seconds: int) -> None:
    if amount_gpu_seconds <= 0:
        raise Invalid(_("Give a number of GPU-hours above 0."), field="gpu_hours")
