"""Reading vouchers, allocations and their balances. Every amount is GPU-seconds of one GPU type.

What takes a person returns only what that person may see; the rest is for the portal's own processes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import BigIntegerField, Case, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.clock import centre_date, now
from portal.people.models import Organisation, Project
from portal.people.rules import Person, is_operator, reads_everything
from portal.people.selectors import projects_of, projects_visible
from quotas.allocations.models import Allocation, Refund, Voucher, Withdrawal
from quotas.ledger.selectors import balances

_ZERO = Value(0, output_field=BigIntegerField())


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocationBalance:
    """granted + overrun = consumed + held + remaining + expired, whatever happened.

    `remaining` still contains what is being withdrawn (`withdrawals_pending`); `free` is what a new job can take.
    `granted` is net of what was moved to other allocations or returned to the voucher.
    """

    granted: int
    overrun: int
    held: int
    withdrawals_pending: int
    consumed: int
    expired: int
    remaining: int

    @property
    def free(self) -> int:
        return self.remaining - self.withdrawals_pending


# --- for the portal's own processes -------------------------------------------------------------------------------


def allocations_on_cluster(cluster: str) -> QuerySet[Allocation]:
    """Allocations that are wanted in a cluster's Slurm, in every state: an ended one must stay there to be shut.

    Imported history is not wanted before an operator adopts it.
    """
    return (
        Allocation.objects.filter(cluster=cluster)
        .filter(Q(imported=False) | Q(adopted_at__isnull=False))
        .select_related("project__organisation", "voucher__programme")
        .order_by("id")
    )


def allocation_by_qos(qos: str) -> Allocation | None:
    return Allocation.objects.filter(qos=qos).select_related("project__organisation").first()


def allocation_balances(ids: Iterable[int]) -> dict[int, AllocationBalance]:
    """The balances of any number of allocations in one query, read at one moment."""
    rows = Allocation.objects.filter(pk__in=set(ids)).order_by()
    return {row["pk"]: _balance(row) for row in rows.annotate(pending_out=_withdrawals()).values("pk", *_TOTALS)}


def free_gpu_seconds(allocation: Allocation) -> int:
    """What a new job can take, `AllocationBalance.free` alone: asked before every submission, from one account."""
    return balances([allocation.account_id])[allocation.account_id].free


def allocation_limits(ids: Iterable[int]) -> dict[int, int]:
    """What each allocation's QOS may use in all, in GPU-seconds, in one query.

    grants + refunds + moves in + overrun − moves out − clawback − expiry − returns − pending withdrawals. Slurm's
    counter never falls, so a refund raises the limit; a correction follows the record, as the counter does, and
    leaves it alone. The withdrawals that these figures leave out are `withdrawals_requested`, read in the same
    transaction or before.
    """
    refunds = Refund.objects.filter(allocation=OuterRef("pk")).order_by().values("allocation")
    refunded = Coalesce(Subquery(refunds.annotate(sum=Sum("amount_gpu_seconds")).values("sum")), _ZERO)
    rows = Allocation.objects.filter(pk__in=set(ids)).order_by()
    rows = rows.annotate(pending_out=_withdrawals(), refunded=refunded)
    limits = {}
    for row in rows.values("pk", "refunded", *_TOTALS):
        balance = _balance(row)
        posted = row["account__credits_posted"] - row["account__debits_posted"]
        limits[row["pk"]] = posted + balance.consumed + row["refunded"] - balance.withdrawals_pending
    return limits


def withdrawals_requested(cluster: str) -> list[Withdrawal]:
    """Withdrawals that wait for a lower limit. Read them before the limits; confirm them after the limit was read back.

    One that is requested later may be in the limit already or not; it is confirmed in the next cycle.
    """
    rows = Withdrawal.objects.filter(allocation__cluster=cluster, state=Withdrawal.State.REQUESTED)
    return list(rows.select_related("allocation"))


def moves_arriving(cluster: str) -> list[Withdrawal]:
    """Moves to this cluster whose first half is done: still to be taken in, or taken in and the higher limit not read
    back yet. Read them before the limits."""
    rows = Withdrawal.objects.filter(target__cluster=cluster, lowered_at__isnull=False, raised_at=None)
    rows = rows.filter(state__in=[Withdrawal.State.MOVING, Withdrawal.State.CONFIRMED])
    return list(rows.select_related("target").order_by("created_at", "id"))


_TOTALS = (
    "account__credits_posted",
    "account__debits_posted",
    "account__debits_pending",
    "consumed_account__credits_posted",
    "consumed_account__debits_posted",
    "expired_account__credits_posted",
    "expired_account__debits_posted",
    "overrun_account__credits_posted",
    "overrun_account__debits_posted",
    "pending_out",
)


def _withdrawals() -> Coalesce:
    pending = Withdrawal.objects.filter(allocation=OuterRef("pk"), state=Withdrawal.State.REQUESTED)
    sums = pending.order_by().values("allocation").annotate(sum=Sum("amount_gpu_seconds")).values("sum")
    return Coalesce(Subquery(sums), _ZERO)


def _balance(row: dict[str, int]) -> AllocationBalance:
    posted = row["account__credits_posted"] - row["account__debits_posted"]
    consumed = row["consumed_account__credits_posted"] - row["consumed_account__debits_posted"]
    expired = row["expired_account__credits_posted"] - row["expired_account__debits_posted"]
    overrun = row["overrun_account__debits_posted"] - row["overrun_account__credits_posted"]
    held = row["account__debits_pending"] - row["pending_out"]
    return AllocationBalance(
        # What came from the voucher less what went back to it, except what expired on that way.
        granted=posted - overrun + consumed + expired,
        overrun=overrun,
        held=held,
        withdrawals_pending=row["pending_out"],
        consumed=consumed,
        expired=expired,
        remaining=posted - held,
    )


# --- for a person -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """An allocation with its balance, for lists."""

    allocation: Allocation
    balance: AllocationBalance


def allocations_visible(person: Person) -> QuerySet[Allocation]:
    """Those of the projects that the person may see: own ones, the managed organisation's, all for the centre's
    people."""
    rows = Allocation.objects.select_related("project__organisation", "voucher__programme")
    return rows if reads_everything(person) else rows.filter(project__in=projects_visible(person))


def allocation_list(
    person: Person, *, project: Project | None = None, organisation: Organisation | None = None, own: bool = False
) -> QuerySet[Allocation]:
    """What the person may see, the open ones first; of one project or organisation where given.

    `own`: only those on which the person submits jobs.
    """
    rows = allocations_visible(person)
    if own:
        rows = rows.filter(project__in=projects_of(person))
    if project is not None:
        rows = rows.filter(project=project)
    if organisation is not None:
        rows = rows.filter(project__organisation=organisation)
    ended = When(state__in=[Allocation.State.EXPIRED, Allocation.State.CLOSED], then=1)
    return rows.order_by(Case(ended, default=0), "project__title", "ends_on", "id")


def with_balances(allocations: Iterable[Allocation]) -> list[AllocationRow]:
    """Adds the balances, in one query for all of them."""
    rows = list(allocations)
    known = allocation_balances([row.pk for row in rows])
    return [AllocationRow(row, known[row.pk]) for row in rows]


def allocation_get(person: Person, pk: int) -> Allocation:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(allocations_visible(person), pk=pk)


def allocation_get_for_operator(person: Person, pk: int) -> Allocation:
    """For changes. Raises Http404 for everybody but operators."""
    if not is_operator(person):
        raise Http404
    return allocation_get(person, pk)


def usable_allocations(person: Person, project: Project, *, on: date | None = None) -> list[AllocationRow]:
    """Allocations of a project on which the person can submit a job on a day (today, unless given)."""
    day = on or centre_date(now())
    if not projects_of(person).filter(pk=project.pk).exists():
        return []
    rows = Allocation.objects.filter(
        project=project, state=Allocation.State.ACTIVE, starts_on__lte=day, ends_on__gte=day
    )
    return with_balances(rows.select_related("project__organisation", "voucher__programme").order_by("ends_on", "id"))


def open_withdrawals(allocation: Allocation) -> QuerySet[Withdrawal]:
    """But moves to other clusters, which have more to tell: `moves_visible`."""
    rows = allocation.withdrawals.filter(state__in=Withdrawal.OPEN_STATES)
    return rows.exclude(_BETWEEN_CLUSTERS)


_BETWEEN_CLUSTERS = Q(kind=Withdrawal.Kind.MOVE) & ~Q(target__cluster=F("allocation__cluster"))


def moves_visible(
    person: Person, *, allocation: Allocation | None = None, voucher: Voucher | None = None
) -> QuerySet[Withdrawal]:
    """Moves between clusters from or to an allocation that the person may see, those under way first."""
    rows = Withdrawal.objects.filter(_BETWEEN_CLUSTERS).select_related(
        "allocation__project", "allocation__voucher__organisation", "target__project"
    )
    if not reads_everything(person):
        seen = allocations_visible(person).values("pk")
        rows = rows.filter(Q(allocation__in=seen) | Q(target__in=seen))
    if allocation is not None:
        rows = rows.filter(Q(allocation=allocation) | Q(target=allocation))
    if voucher is not None:
        rows = rows.filter(allocation__voucher=voucher)
    under_way = When(resolved_at=None, then=0)
    return rows.order_by(Case(under_way, default=1), "-created_at", "-id")


def move_get(person: Person, pk: UUID) -> Withdrawal:
    """Raises Http404 where the person may see neither end of it."""
    return get_object_or_404(moves_visible(person), pk=pk)
