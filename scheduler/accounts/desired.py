"""What a cluster's Slurm should hold, from organisations, projects, members, allocations and their balances."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Sum

from portal.clock import centre_date, now
from portal.people.models import ProjectMembership
from quotas.allocations.models import Allocation, Refund
from quotas.allocations.selectors import allocation_balances, allocation_limits, allocations_on_cluster
from scheduler.accounts.plan import (
    ROOT,
    AccountState,
    AssociationKey,
    AssociationState,
    Note,
    QosState,
    State,
)
from scheduler.accounts.registry import suspended
from scheduler.clusters.adapters.protocol import PartitionInfo
from scheduler.clusters.default_qos import default_of, is_open
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name


@dataclass(frozen=True)
class Books:
    """What the ledger says of every allocation of a cluster, read before anything is asked of Slurm.

    In this order a job that ends in between is missing from `settled` and from the running ones, never counted twice.
    """

    allocations: Sequence[Allocation]
    limits_gpu_seconds: Mapping[int, int]
    settled_gpu_seconds: Mapping[int, int]
    suspended_gpu_seconds: Mapping[str, int] = field(default_factory=dict)  # by QOS


@dataclass
class Wanted:
    accounts: dict[str, AccountState] = field(default_factory=dict)
    qos: dict[str, QosState] = field(default_factory=dict)
    associations: dict[AssociationKey, AssociationState] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    @property
    def state(self) -> State:
        return State(self.accounts, self.qos, self.associations)


def books_read(cluster: Cluster) -> Books:
    allocations = list(allocations_on_cluster(cluster.name))
    ids = [row.pk for row in allocations]
    limits = allocation_limits(ids)
    balances = allocation_balances(ids)
    # `consumed` is net of refunds; slurmctld's counter is not.
    sums = Refund.objects.filter(allocation__in=ids).order_by().values_list("allocation")
    refunds = dict(sums.annotate(Sum("amount_gpu_seconds")))
    settled = {pk: balances[pk].consumed + refunds.get(pk, 0) for pk in ids}
    return Books(allocations, limits, settled, suspended.by_qos(cluster))


def desired_make(
    *,
    cluster: Cluster,
    allocations: Sequence[Allocation],
    minutes: Mapping[int, int],
    partitions: Sequence[PartitionInfo],
    associations: Iterable[AssociationKey],
    unix_account_exists: Callable[[str], bool],
) -> Wanted:
    """`associations` are those that exist: the unix account is looked up only for new ones, so that a name service that
    fails for a moment takes nobody's access away."""
    today = centre_date(now())
    wanted = Wanted()
    by_type: dict[str, list[str]] = defaultdict(list)
    for partition in partitions:
        if partition.gpu_type:
            by_type[partition.gpu_type].append(partition.name)
    by_place: dict[tuple[int, str], list[Allocation]] = defaultdict(list)
    for row in allocations:
        _accounts(cluster, row, wanted)
        wanted.qos[row.qos] = QosState.of_allocation(
            gpu_type=row.gpu_type,
            minutes=minutes[row.pk],
            is_open=is_open(row, today),
            takes_new=cluster.retired_at is None,
        )
        if not by_type[row.gpu_type]:
            wanted.notes.append(Note("no_partition", row.qos, row.gpu_type))
        for name in by_type[row.gpu_type]:
            by_place[row.project_id, name].append(row)
    _associations(cluster, by_place, today, set(associations), unix_account_exists, wanted)
    return wanted


def _accounts(cluster: Cluster, allocation: Allocation, wanted: Wanted) -> None:
    organisation = account_name(cluster, allocation.project.organisation.slug)
    wanted.accounts[organisation] = AccountState(parent=ROOT)
    wanted.accounts[account_name(cluster, allocation.project.slug)] = AccountState(parent=organisation)


def _associations(
    cluster: Cluster,
    by_place: Mapping[tuple[int, str], list[Allocation]],
    today: date,
    existing: set[AssociationKey],
    unix_account_exists: Callable[[str], bool],
    wanted: Wanted,
) -> None:
    known: dict[str, bool] = {}
    members = _members({project for project, _ in by_place})
    for (project_id, partition), rows in sorted(by_place.items()):
        account = account_name(cluster, rows[0].project.slug)
        # The QOS list is exactly the project's of this GPU type, shut ones included: a shut QOS takes no jobs, and its
        # waiting jobs keep their right to it.
        qos = tuple(sorted(row.qos for row in rows))
        default = default_of(rows, today).qos
        for user in members.get(project_id, ()):
            key = (account, user, partition)
            if key not in existing:
                if user not in known:
                    known[user] = unix_account_exists(user)
                    if not known[user]:
                        wanted.notes.append(Note("waits_for_unix_account", user, account))
                if not known[user]:
                    continue
            wanted.associations[key] = AssociationState(qos=qos, default_qos=default)


def _members(project_ids: set[int]) -> dict[int, list[str]]:
    """Unix accounts of those who may run jobs in a project, by project."""
    rows = (
        ProjectMembership.objects.filter(
            project__in=project_ids, project__is_active=True, user__is_active=True, user__unix_account__isnull=False
        )
        .values_list("project", "user__unix_account")
        .distinct()
        .order_by("project", "user__unix_account")
    )
    found: dict[int, list[str]] = defaultdict(list)
    for project, unix_account in rows:
        if unix_account:
            found[project].append(unix_account)
    return found
