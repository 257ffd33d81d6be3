"""Moving a project's balance to another cluster: to its allocation there, which is made where there is none."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.people.models import User
from portal.people.rules import is_operator, manages
from quotas.actors import Actor
from quotas.allocations.errors import Invalid
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services.awards import allocation_open
from quotas.allocations.services.locks import allocation_lock
from quotas.allocations.services.prices import price_check
from quotas.allocations.services.withdrawals import withdrawal_cancel, withdrawal_request
from quotas.proposals.errors import ConflictOfInterest, NotAllowed
from quotas.proposals.models import Proposal
from quotas.proposals.rules import has_conflict


def cluster_move_check(source: Allocation, cluster: str) -> None:
    """Raises Invalid, ClusterClosed, TariffsDiffer."""
    if cluster == source.cluster:
        raise Invalid(_("Choose another cluster than the one that it is on."), field="cluster")
    price_check(source.voucher, source.cluster, cluster)


def cluster_move(
    *,
    source_id: int,
    cluster: str,
    amount_gpu_seconds: int,
    reason: str,
    actor: Actor,
    withdrawal_id: UUID | None = None,
) -> Withdrawal:
    """The first of two halves begins: the GPU-seconds are reserved, and the source's worker is asked.

    The same `withdrawal_id` again changes nothing. Raises Invalid, BalanceTooSmall, ClusterClosed, TariffsDiffer.
    """
    with transaction.atomic(), acting(actor, f"cluster_move: {reason}"):
        source = allocation_lock(source_id)  # two who move at once make one allocation there
        cluster_move_check(source, cluster)
        open_ = Allocation.objects.filter(
            voucher=source.voucher_id, project=source.project_id, cluster=cluster, state=Allocation.State.ACTIVE
        )
        target = open_.order_by("pk").first() or allocation_open(
            source.voucher, source.project, cluster, source.starts_on, source.ends_on
        )
        rows = withdrawal_request(
            allocation_id=source.pk,
            kind=Withdrawal.Kind.MOVE,
            amount_gpu_seconds=amount_gpu_seconds,
            reason=reason,
            event_at=now(),
            actor=actor,
            target_id=target.pk,
            withdrawal_id=withdrawal_id,
        )
    return rows[0]


def may_cancel_move(person: User, row: Withdrawal) -> bool:
    """Operators who are not bound to the organisation. What the organisation itself asked for also its managers, and
    those who lead one of the two projects; what two people of the centre decided is the centre's."""
    if not row.is_open_move:
        return False
    organisation = row.allocation.voucher.organisation
    if is_operator(person) and not has_conflict(person, organisation):
        return True
    if Proposal.objects.filter(pk=row.pk).exists():
        return False
    projects = {row.allocation.project_id, row.target.project_id if row.target else row.allocation.project_id}
    return manages(person, organisation) or person.project_memberships.filter(project__in=projects, role="pi").exists()


def move_cancel(*, row: Withdrawal, reason: str, person: User) -> None:
    """Everything goes back to where it came from. Raises NotAllowed, ConflictOfInterest, WrongState once it arrived."""
    if not may_cancel_move(person, row):
        if is_operator(person):
            raise ConflictOfInterest
        raise NotAllowed
    withdrawal_cancel(withdrawal_id=row.pk, reason=reason, event_at=now(), actor=person)
