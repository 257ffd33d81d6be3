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
from scheduler.accounts.registry import uncharged
from scheduler.clusters.adapters.protocol import PartitionInfo
from scheduler.clusters.default_qos import default_of, is_open
from scheduler.clusters.models import Cluster, QosRule
from scheduler.clusters.names import account_name, cpu_qos
from scheduler.clusters.qos_rules import PersonLimits, person_limits
from scheduler.clusters.slices import slices_read


@dataclass(frozen=True)
class Books:
    """What the ledger says of every allocation of a cluster, read before anything is asked of Slurm.

    In this order a job that ends in between is missing from `settled` and from the running ones, never counted twice.
    """

    allocations: Sequence[Allocation]
    limits_gpu_seconds: Mapping[int, int]
    settled_gpu_seconds: Mapping[int, int]
    uncharged_gpu_seconds: Mapping[str, int] = field(default_factory=dict)  # by QOS


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
    return Books(allocations, limits, settled, uncharged.by_qos(cluster))


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
    slices, rules = slices_read(), person_limits(cluster)
    by_type: dict[str, list[str]] = defaultdict(list)
    for partition in partitions:
        if partition.gpu_type:
            by_type[slices.parent(partition.gpu_type)].append(partition.name)
    by_place: dict[tuple[int, str], list[Allocation]] = defaultdict(list)
    for row in allocations:
        _accounts(cluster, row, wanted)
        wanted.qos[row.qos] = QosState.of_allocation(
            gpu_type=row.gpu_type,
            minutes=minutes[row.pk],
            is_open=is_open(row, today),
            takes_new=cluster.retired_at is None,
            sandbox=rules[QosRule.Kind.SANDBOX] if row.voucher.programme.is_sandbox else None,
        )
        if not by_type[row.gpu_type]:
            wanted.notes.append(Note("no_partition", row.qos, row.gpu_type))
        for name in by_type[row.gpu_type]:
            by_place[row.project_id, name].append(row)
    places = [_place(cluster, project_id, name, rows, today) for (project_id, name), rows in by_place.items()]
    if QosRule.Kind.CPU in rules:
        cpu = [partition.name for partition in partitions if partition.nodes and not partition.gpus_per_node]
        places += _cpu_places(cluster, allocations, cpu, rules[QosRule.Kind.CPU], wanted)
    _associations(places, set(associations), unix_account_exists, wanted)
    return wanted


def _accounts(cluster: Cluster, allocation: Allocation, wanted: Wanted) -> None:
    organisation = account_name(cluster, allocation.project.organisation.slug)
    wanted.accounts[organisation] = AccountState(parent=ROOT)
    wanted.accounts[account_name(cluster, allocation.project.slug)] = AccountState(parent=organisation)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the members of a project may run jobs, and under which QOS."""

    project_id: int
    account: str
    partition: str
    qos: tuple[str, ...]
    default_qos: str


def _place(cluster: Cluster, project_id: int, partition: str, rows: Sequence[Allocation], today: date) -> Place:
    """The QOS list is exactly the project's of this GPU type, shut ones included: a shut QOS takes no jobs, and its
    waiting jobs keep their right to it."""
    default = default_of(rows, today).qos
    account = account_name(cluster, rows[0].project.slug)
    return Place(project_id, account, partition, tuple(sorted(row.qos for row in rows)), default)


def _cpu_places(
    cluster: Cluster, allocations: Sequence[Allocation], partitions: Sequence[str], limits: PersonLimits, wanted: Wanted
) -> list[Place]:
    """Preparing data: every project with an allocation here, under a QOS that knows no GPU.

    Also after its allocation has ended: what was computed must still be read, packed and copied.
    """
    if not partitions:
        return []
    name = cpu_qos(cluster)
    wanted.qos[name] = QosState.of_cpu(limits)
    projects = {row.project_id: row.project for row in allocations}
    return [
        Place(project_id, account_name(cluster, project.slug), partition, (name,), name)
        for project_id, project in projects.items()
        for partition in partitions
    ]


def _associations(
    places: Iterable[Place],
    existing: set[AssociationKey],
    unix_account_exists: Callable[[str], bool],
    wanted: Wanted,
) -> None:
    known: dict[str, bool] = {}
    ordered = sorted(places, key=lambda place: (place.project_id, place.partition))
    members = _members({place.project_id for place in ordered})
    for place in ordered:
        for user in members.get(place.project_id, ()):
            key = (place.account, user, place.partition)
            if key not in existing:
                if user not in known:
                    known[user] = unix_account_exists(user)
                    if not known[user]:
                        wanted.notes.append(Note("waits_for_unix_account", user, place.account))
                if not known[user]:
                    continue
            wanted.associations[key] = AssociationState(qos=place.qos, default_qos=place.default_qos)


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
