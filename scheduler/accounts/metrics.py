from collections.abc import Iterator

from django.db.models import Count, F, Min, Q, Sum
from prometheus_client.core import GaugeMetricFamily, Metric

from portal.clock import now
from quotas.allocations.models import Withdrawal
from scheduler.accounts.models import LimitReading, StoredPlan


def collect() -> Iterator[Metric]:
    families = {
        "saola_plan_actions": "What the last cycle left to do on the cluster.",
        "saola_plan_refused": "What Slurm refused in the last cycle.",
        "saola_plan_removals_withheld": "Removals above the cap: none of them was done.",
        "saola_accounting_tree_faults": "Faults of slurmdbd's tree of accounts: with any, nothing is removed or moved.",
        "saola_plan_age_seconds": "Time since a plan was last made and read back.",
    }
    plans = {name: GaugeMetricFamily(name, text, labels=["cluster"]) for name, text in families.items()}
    for row in StoredPlan.objects.select_related("cluster"):
        figures = (
            len(row.actions),
            len(row.errors),
            row.removals_withheld,
            len(row.tree_faults),
            (now() - row.made_at).total_seconds(),
        )
        for family, figure in zip(plans.values(), figures, strict=True):
            family.add_metric([row.cluster.name], figure)
    yield from plans.values()
    yield from _limits()
    yield from _moves()


def _moves() -> Iterator[Metric]:
    """An alert on the age finds a cluster that does not answer, and a move that waits for jobs."""
    labels = ["source", "target", "state"]
    under_way = GaugeMetricFamily("saola_moves_under_way", "Moves of balance between clusters.", labels=labels)
    age = GaugeMetricFamily("saola_moves_oldest_seconds", "Since the oldest of them was asked for.", labels=labels)
    rows = Withdrawal.objects.filter(kind=Withdrawal.Kind.MOVE, raised_at=None)
    rows = rows.exclude(target__cluster=F("allocation__cluster")).exclude(state=Withdrawal.State.CANCELLED)
    for source, target, state, count, oldest in (
        rows.order_by()
        .values_list("allocation__cluster", "target__cluster", "state")
        .annotate(count=Count("pk"), oldest=Min("created_at"))
    ):
        under_way.add_metric([source, target, state], count)
        age.add_metric([source, target, state], (now() - oldest).total_seconds())
    yield from (under_way, age)


def _limits() -> Iterator[Metric]:
    gap = GaugeMetricFamily(
        "saola_limits_counter_gap_gpu_seconds",
        "What slurmctld's counters miss and the limits make up for.",
        labels=["cluster"],
    )
    lag = GaugeMetricFamily("saola_limits_not_held", "Limits that slurmctld does not hold yet.", labels=["cluster"])
    rows = LimitReading.objects.values_list("cluster__name").annotate(
        gap_gpu_seconds=Sum("counter_gap_gpu_seconds"),
        not_held=Count("id", filter=~Q(read_minutes=F("wanted_minutes")) | Q(read_minutes=None)),
    )
    for name, gap_gpu_seconds, not_held in rows:
        gap.add_metric([name], gap_gpu_seconds)
        lag.add_metric([name], not_held)
    yield from (gap, lag)
