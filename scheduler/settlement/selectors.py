"""Reading reconciliations and cycles. What takes a person is for operators, approvers and auditors."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.http import Http404

from portal.clock import now
from portal.people.rules import Person, reads_everything
from scheduler.clusters.models import Cluster
from scheduler.settlement.models import Cursor, CycleStep, Reconciliation

STEPS = ("snapshot", "outbox", "jobs", "outside", "settle", "waiting", "accounts", "reconcile")
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

    @property
    def is_clean(self) -> bool:
        found = self.reconciliation
        return found is not None and not found.residual_gpu_seconds and not found.differences_count

    @property
    def gaps(self) -> list[tuple[str, int]]:
        return sorted(self.reconciliation.counter_gaps.items()) if self.reconciliation else []


def cluster_accounts(person: Person) -> list[ClusterAccounts]:
    """Every cluster's. Raises Http404 for everybody but operators, approvers and auditors."""
    if not reads_everything(person):
        raise Http404
    moment = now()
    found = []
    for cluster in Cluster.objects.order_by("name"):
        cursor = Cursor.objects.filter(cluster=cluster).first()
        found.append(
            ClusterAccounts(
                cluster=cluster,
                reconciliation=reconciliation_last(cluster),
                steps=steps_of(cluster),
                read_until_age_s=(moment - cursor.read_until).total_seconds() if cursor else None,
            )
        )
    return found


def reconciliation_last(cluster: Cluster) -> Reconciliation | None:
    return Reconciliation.objects.filter(cluster=cluster).first()


def steps_of(cluster: Cluster) -> list[StepRow]:
    """In the order in which they run."""
    late_before = now() - timedelta(seconds=max(60, LATE_CYCLES * settings.CLUSTER_CYCLE_S))
    steps = {step.step: step for step in CycleStep.objects.filter(cluster=cluster)}
    return [_step_row(steps[name], late_before) for name in STEPS if name in steps]


def _step_row(step: CycleStep, late_before: datetime) -> StepRow:
    return StepRow(step, step.succeeded_at is None or step.succeeded_at < late_before)
