"""Reading what the portal made and wants on a cluster. What takes a person is for the centre's people only."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from portal.people.rules import Person, reads_everything
from quotas.allocations.models import Allocation
from scheduler.accounts.models import LimitReading, OwnedName, StoredPlan
from scheduler.accounts.plan import Kind, Owned
from scheduler.clusters.models import Cluster


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


def stored_plan(cluster: Cluster) -> StoredPlan | None:
    return StoredPlan.objects.filter(cluster=cluster).first()


@dataclass(frozen=True)
class LimitRow:
    reading: LimitReading
    allocation: Allocation | None

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
