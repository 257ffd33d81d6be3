"""Reading reconciliations and cycles. What takes a person is for operators, approvers and auditors."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, OuterRef, Subquery, Sum
from django.http import Http404

from portal.clock import now
from portal.people.rules import Person, reads_everything
from scheduler.clusters.models import Cluster
from scheduler.settlement.models import Cursor, CycleStep, Kept, Reconciliation, Record

STEPS = ("snapshot", "outbox", "jobs", "outside", "settle", "waiting", "accounts", "data_sets", "reconcile")
KEPT_SHOWN = 100
CLOCK_OFF_S = 5  # from here on a page says that the clocks differ
LATE_CYCLES = 4  # a step that has not succeeded for so many cycles, and for a minute, is late


@dataclass(frozen=True)
class StepRow:
    step: CycleStep
    is_late: bool


@dataclass(frozen=True)
class ClusterAccounts:
    """A cluster's last reconciliation, and how far and how well its worker comes."""

    cluster: Cluster
    reconciliation: Reconciliation | None
    steps: list[StepRow]
    read_until_age_s: float | None
    clock_ahead_s: int
    kept: list[Kept]

    @property
    def is_clean(self) -> bool:
        found = self.reconciliation
        return found is not None and not found.residual_gpu_seconds and not found.differences_count

    @property
    def clock_off_s(self) -> int:
        return abs(self.clock_ahead_s)

    @property
    def is_clock_off(self) -> bool:
        return self.clock_off_s >= CLOCK_OFF_S

    @property
    def gaps(self) -> list[tuple[str, int]]:
        return sorted((qos, gap) for qos, gap in self._gaps.items() if gap > 0)

    @property
    def surpluses(self) -> list[tuple[str, int]]:
        """QOS and GPU-seconds that slurmctld counted and nobody is charged for."""
        return sorted((qos, -gap) for qos, gap in self._gaps.items() if gap < 0)

    @property
    def _gaps(self) -> dict[str, int]:
        return self.reconciliation.counter_gaps if self.reconciliation else {}


def cluster_accounts(person: Person) -> list[ClusterAccounts]:
    """Every cluster's, in four queries. Raises Http404 for everybody but operators, approvers and auditors."""
    if not reads_everything(person):
        raise Http404
    moment = now()
    newest = Reconciliation.objects.filter(cluster=OuterRef("pk")).values("pk")[:1]
    lasts = Reconciliation.objects.filter(pk__in=Cluster.objects.order_by().values(last=Subquery(newest)))
    last = {row.cluster_id: row for row in lasts}
    steps: dict[int, dict[str, CycleStep]] = defaultdict(dict)
    for step in CycleStep.objects.all():
        steps[step.cluster_id][step.step] = step
    kept: dict[int, list[Kept]] = defaultdict(list)
    for row in Kept.objects.all()[:KEPT_SHOWN]:
        kept[row.cluster_id].append(row)
    found = []
    for cluster in Cluster.objects.select_related("cursor").order_by("name"):
        cursor: Cursor | None = getattr(cluster, "cursor", None)
        found.append(
            ClusterAccounts(
                cluster=cluster,
                reconciliation=last.get(cluster.pk),
                steps=_step_rows(steps[cluster.pk], moment),
                read_until_age_s=cursor.read_age_s(moment) if cursor else None,
                clock_ahead_s=cursor.clock_ahead_s if cursor else 0,
                kept=kept[cluster.pk],
            )
        )
    return found


def uncharged_by_qos(cluster: Cluster) -> dict[str, int]:
    """GPU-seconds of finished jobs that slurmctld counts against the QOS and nobody is charged for: suspended time, and
    the part of a GPU that a slice is not."""
    rows = Record.objects.filter(cluster=cluster, imported=False, uncharged_gpu_seconds__gt=0, qos=F("allocation__qos"))
    sums = rows.order_by().values_list("qos").annotate(gpu_seconds=Sum("uncharged_gpu_seconds"))
    return {qos: int(amount) for qos, amount in sums}


def reconciliation_last(cluster: Cluster) -> Reconciliation | None:
    return Reconciliation.objects.filter(cluster=cluster).first()


def _step_rows(steps: Mapping[str, CycleStep], moment: datetime) -> list[StepRow]:
    """In the order in which they run."""
    late_before = moment - timedelta(seconds=max(60, LATE_CYCLES * settings.CLUSTER_CYCLE_S))
    return [_step_row(steps[name], late_before) for name in STEPS if name in steps]


def _step_row(step: CycleStep, late_before: datetime) -> StepRow:
    return StepRow(step, step.succeeded_at is None or step.succeeded_at < late_before)
