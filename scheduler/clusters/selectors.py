"""What a person may know of a cluster: its GPUs, who uses how many, when some become free. Read from the worker's last
look; nobody's page asks Slurm. How much each organisation uses is for its own people and for those who read everything;
the others are one row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import Organisation, Project, User
from portal.people.rules import Person, reads_everything
from portal.people.selectors import organisations_visible, projects_visible
from quotas.estimator.peaks import GPUS
from scheduler.clusters.models import Cluster, Snapshot
from scheduler.clusters.occupancy import HORIZONS_S, AccountShare, GpuCount, Occupancy, Start, node_class
from scheduler.clusters.reserved import ReservationRow, reservations_seen
from scheduler.clusters.slices import Share, slices_read

PFLOPS_A_FLOPS = 1e-15


def clusters_shown(person: Person) -> QuerySet[Cluster]:
    """Every active cluster, for everybody who is logged in."""
    rows = Cluster.objects.filter(is_active=True).select_related("snapshot").defer("snapshot__nodes").order_by("name")
    return rows if isinstance(person, User) else rows.none()


def cluster_get_of_centre(person: Person, name: str) -> Cluster:
    """Raises Http404 for everybody but operators, approvers and auditors."""
    if not reads_everything(person):
        raise Http404
    return get_object_or_404(Cluster, name=name)


@dataclass(frozen=True, kw_only=True)
class TypeRow:
    """GPUs of one type. `fp8_pflops` is the theoretical dense peak of all of them, None where the type has no FP8."""

    gpu_type: str
    count: GpuCount
    fp8_pflops: float | None
    free_within: Sequence[int]  # by HORIZONS_S, what is free now included
    share: Share | None = None  # of slices: of which GPU, and how much of it


@dataclass(kw_only=True)
class ShareRow:
    """An organisation's jobs; `organisation` None: everybody whose names are not shown."""

    organisation: Organisation | None
    running_jobs: int = 0
    running_gpus: Counter[str] = field(default_factory=Counter)
    pending_jobs: int = 0
    pending_gpus: Counter[str] = field(default_factory=Counter)

    @property
    def running(self) -> int:
        return self.running_gpus.total()

    @property
    def pending(self) -> int:
        return self.pending_gpus.total()

    def add(self, share: AccountShare) -> None:
        self.running_jobs += share.running_jobs
        self.running_gpus.update(share.running_gpus)
        self.pending_jobs += share.pending_jobs
        self.pending_gpus.update(share.pending_gpus)


@dataclass(frozen=True, kw_only=True)
class StartRow:
    start: Start
    at: datetime
    project: Project | None  # None: not this person's to know


@dataclass(frozen=True, kw_only=True)
class Capacity:
    cluster: Cluster
    snapshot: Snapshot | None
    types: Sequence[TypeRow]
    node_classes: Sequence[tuple[str, int]]
    shares: Sequence[ShareRow]
    starts: Sequence[StartRow]
    reservations: Sequence[ReservationRow] = ()

    @property
    def total(self) -> GpuCount:
        """Of whole GPUs: seven slices are not seven."""
        counts = [row.count for row in self.types if row.share is None]
        return GpuCount(
            total=sum(count.total for count in counts),
            allocated=sum(count.allocated for count in counts),
            out=sum(count.out for count in counts),
        )

    @property
    def fp8_pflops(self) -> float:
        return sum(row.fp8_pflops or 0 for row in self.types)


STARTS_SHOWN = 10


def capacity_get(person: Person, name: str, *, with_nodes: bool = False) -> Capacity:
    """In six queries. `with_nodes`: read at once what `nodes_of` its cluster needs. Raises Http404 for strangers and
    unknown clusters.
    """
    rows = clusters_shown(person).filter(name=name)
    cluster = (rows.defer(None) if with_nodes else rows).first()
    if cluster is None:
        raise Http404
    snapshot = getattr(cluster, "snapshot", None)
    seen = Occupancy.of_json(snapshot.occupancy if snapshot else {})
    projects = _projects(cluster, seen)
    slices = slices_read()
    visible = set(organisations_visible(person).values_list("pk", flat=True))
    own = projects_visible(person).filter(pk__in=[project.pk for project in projects.values()])
    return Capacity(
        cluster=cluster,
        snapshot=snapshot,
        types=[
            _type_row(kind, count, seen.releases.get(kind, []), slices.get(kind))
            for kind, count in sorted(seen.gpus.items())
        ],
        node_classes=sorted(seen.nodes.items(), key=lambda row: (-row[1], row[0])),
        shares=_shares(seen, projects, visible),
        starts=_starts(seen, projects, set(own.values_list("pk", flat=True))),
        reservations=reservations_seen(person, cluster),
    )


def _projects(cluster: Cluster, seen: Occupancy) -> dict[str, Project]:
    """By Slurm account. Accounts that are not the portal's have none."""
    prefix = cluster.account_prefix
    slugs = [name.removeprefix(prefix) for name in seen.accounts if name.startswith(prefix)]
    rows = Project.objects.filter(slug__in=slugs).select_related("organisation")
    return {f"{prefix}{project.slug}": project for project in rows}


def _type_row(kind: str, count: GpuCount, releases: Sequence[int], share: Share | None) -> TypeRow:
    gpu = GPUS.get(share.parent if share else kind)
    peak_flops: float | None = gpu.peaks_flops.get("fp8") if gpu else None
    if share and peak_flops is not None:
        peak_flops = peak_flops * share.parts / share.whole
    in_service = count.total - count.out
    return TypeRow(
        gpu_type=kind,
        count=count,
        fp8_pflops=None if peak_flops is None else count.total * peak_flops * PFLOPS_A_FLOPS,
        free_within=[min(in_service, count.free + given) for given in releases] or [count.free] * len(HORIZONS_S),
        share=share,
    )


def _shares(seen: Occupancy, projects: dict[str, Project], visible: set[int]) -> list[ShareRow]:
    rows: dict[int | None, ShareRow] = {}
    for account, share in seen.accounts.items():
        project = projects.get(account)
        shown = project.organisation if project and project.organisation_id in visible else None
        rows.setdefault(shown.pk if shown else None, ShareRow(organisation=shown)).add(share)
    # The biggest users first; those without a name last.
    return sorted(rows.values(), key=lambda row: (row.organisation is None, -row.running, -row.pending))


def _starts(seen: Occupancy, projects: dict[str, Project], visible: set[int]) -> list[StartRow]:
    found = []
    for start in seen.starts[:STARTS_SHOWN]:
        project = projects.get(start.account)
        shown = project if project and project.pk in visible else None
        found.append(StartRow(start=start, at=datetime.fromisoformat(start.start_at), project=shown))
    return found


@dataclass(frozen=True)
class NodeRow:
    name: str
    state: str
    kind: str
    reason: str
    gpu_type: str
    gpus: int
    gpus_allocated: int


def nodes_of(cluster: Cluster, kind: str = "") -> list[NodeRow]:
    """As last seen, those with a reason first; `kind` keeps one class of nodes (occupancy.node_class)."""
    snapshot = getattr(cluster, "snapshot", None)
    rows = [
        NodeRow(
            name=node["name"],
            state=node["state"],
            kind=node_class(node["state"]),
            reason=node["reason"],
            gpu_type=", ".join(sorted(node["gpus"])).upper(),
            gpus=sum(node["gpus"].values()),
            gpus_allocated=sum(node["gpus_allocated"].values()),
        )
        for node in (snapshot.nodes if snapshot else [])
    ]
    return sorted((row for row in rows if kind in ("", row.kind)), key=lambda row: (not row.reason, row.name))
