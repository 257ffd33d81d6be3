"""Reading what the portal made and wants on a cluster. What takes a person is for the centre's people only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.rules import Person, reads_everything
from quotas.allocations.models import Allocation
from scheduler.accounts.models import LimitReading, OutsideChange, OwnedName, StoredPlan
from scheduler.accounts.plan import Kind, Owned
from scheduler.clusters.models import Cluster, Snapshot


def owned_names(cluster: Cluster) -> Owned:
    rows = OwnedName.objects.filter(cluster=cluster, removed_at__isnull=True).values_list("kind", "name")
    names: dict[str, set[str]] = {Kind.ACCOUNT: set(), Kind.QOS: set()}
    for kind, name in rows:
        names[kind].add(name)
    return Owned(accounts=frozenset(names[Kind.ACCOUNT]), qos=frozenset(names[Kind.QOS]))


def clusters_visible(person: Person) -> QuerySet[Cluster]:
    """All, for operators, approvers and auditors; none for everybody else."""
    rows = Cluster.objects.select_related("snapshot", "stored_plan").order_by("name")
    return rows if reads_everything(person) else rows.none()


def cluster_get(person: Person, name: str) -> Cluster:
    """Raises Http404 for everybody but operators, approvers and auditors."""
    return get_object_or_404(clusters_visible(person), name=name)


def clusters_overview(person: Person) -> list["ClusterRow"]:
    """Every cluster with what needs a look, in two queries. Raises Http404 for everybody but operators, approvers and
    auditors.
    """
    if not reads_everything(person):
        raise Http404
    not_held = LimitReading.objects.exclude(read_minutes=F("wanted_minutes")).order_by()
    limits_not_held = dict(not_held.values_list("cluster").annotate(Count("pk")))
    rows = []
    for cluster in clusters_visible(person):
        snapshot, stored = snapshot_of(cluster), stored_plan(cluster)
        rows.append(
            ClusterRow(
                cluster=cluster,
                snapshot=snapshot,
                stored=stored,
                is_unreachable=snapshot is not None and not snapshot.reachable,
                removals_withheld=stored.removals_withheld if stored else 0,
                refused=len(stored.errors) if stored else 0,
                tree_faults=len(stored.tree_faults) if stored else 0,
                limits_not_held=limits_not_held.get(cluster.pk, 0),
            )
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class ClusterRow:
    cluster: Cluster
    snapshot: Snapshot | None
    stored: StoredPlan | None
    is_unreachable: bool
    removals_withheld: int
    refused: int
    tree_faults: int
    limits_not_held: int

    @property
    def problems(self) -> int:
        needs = (self.removals_withheld, self.refused, self.tree_faults, self.limits_not_held)
        return self.is_unreachable + sum(map(bool, needs))


def snapshot_of(cluster: Cluster) -> Snapshot | None:
    return getattr(cluster, "snapshot", None)


def stored_plan(cluster: Cluster) -> StoredPlan | None:
    return getattr(cluster, "stored_plan", None)


def action_of(stored: StoredPlan, kind: str, name: str) -> dict[str, Any] | None:
    """What the stored plan does to one object."""
    return next((row for row in stored.actions if (row["kind"], row["name"]) == (kind, name)), None)


def outside_changes(cluster: Cluster, *, names: Iterable[str] = ()) -> list[OutsideChange]:
    """What others did by hand to what is ours, the newest first; of these accounts and QOS, or of all."""
    rows = OutsideChange.objects.filter(cluster=cluster)
    wanted = set(names)
    if wanted:
        rows = rows.filter(reduce(or_, (Q(names__contains=[name]) for name in sorted(wanted))))
    return list(rows[:OUTSIDE_SHOWN])


MINUTE_S = 60
OUTSIDE_SHOWN = 30


@dataclass(frozen=True)
class LimitRow:
    reading: LimitReading
    allocation: Allocation | None

    @property
    def limit_gpu_seconds(self) -> int:
        return self.reading.wanted_minutes * MINUTE_S

    @property
    def read_gpu_seconds(self) -> int | None:
        """None: slurmctld does not know the QOS yet."""
        return None if self.reading.read_minutes is None else self.reading.read_minutes * MINUTE_S

    @property
    def is_read_back(self) -> bool:
        return self.reading.read_minutes == self.reading.wanted_minutes


def limit_rows(cluster: Cluster) -> Sequence[LimitRow]:
    """Every limit with its counter, those that need a look first: not read back, then with a gap."""
    readings = list(LimitReading.objects.filter(cluster=cluster).order_by("qos"))
    allocations = {
        row.qos: row
        for row in Allocation.objects.filter(qos__in=[row.qos for row in readings]).select_related(
            "project__organisation"
        )
    }
    rows = [LimitRow(reading, allocations.get(reading.qos)) for reading in readings]
    return sorted(rows, key=lambda row: (row.is_read_back, -row.reading.counter_gap_gpu_seconds, row.reading.qos))
