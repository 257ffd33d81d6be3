from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from portal.clock import now
from scheduler.clusters.models import Cluster
from scheduler.settlement.models import Cursor, CycleStep
from scheduler.settlement.selectors import reconciliation_last


def collect() -> Iterator[Metric]:
    yield from _steps()
    yield from _reconciliations()


def _steps() -> Iterator[Metric]:
    labels = ["cluster", "step"]
    took = GaugeMetricFamily("saola_cycle_step_seconds", "How long a step of the last cycle took.", labels=labels)
    failures = GaugeMetricFamily("saola_cycle_step_failures", "Failures of a step in a row.", labels=labels)
    age = GaugeMetricFamily("saola_cycle_step_success_age_seconds", "Time since a step last succeeded.", labels=labels)
    moment = now()
    for row in CycleStep.objects.select_related("cluster"):
        names = [row.cluster.name, row.step]
        took.add_metric(names, row.duration_s)
        failures.add_metric(names, row.failures)
        if row.succeeded_at is not None:
            age.add_metric(names, (moment - row.succeeded_at).total_seconds())
    lag = GaugeMetricFamily(
        "saola_settlement_read_lag_seconds", "How far the reading of slurmdbd is behind.", labels=["cluster"]
    )
    clock = GaugeMetricFamily(
        "saola_cluster_clock_ahead_seconds", "slurmctld's clock beside the portal's.", labels=["cluster"]
    )
    for cursor in Cursor.objects.select_related("cluster"):
        lag.add_metric([cursor.cluster.name], cursor.read_age_s(moment))
        clock.add_metric([cursor.cluster.name], cursor.clock_ahead_s)
    yield from (took, failures, age, lag, clock)


def _reconciliations() -> Iterator[Metric]:
    figures = {
        "residual_gpu_seconds": "Sum of all differences between slurmdbd and the ledger; 0 is the promise.",
        "charged_gpu_seconds": "What the ledger charged, imported history apart.",
        "slurmdbd_gpu_seconds": "What slurmdbd says was used.",
        "overrun_gpu_seconds": "What no balance covered and the centre bears.",
        "differences_count": "Records whose charge is not what slurmdbd says.",
        "missing_records": "Charged records that slurmdbd lost or shows as unfinished again.",
        "purged_gpu_seconds": "Charged, and purged from slurmdbd by its own configuration.",
        "kept_gpu_seconds": "Charged, lost by slurmdbd, and standing by an operator's word.",
        "others_records": "Finished records of accounts that are not the portal's: ignored.",
    }
    families = {
        name: GaugeMetricFamily(f"saola_reconciliation_{name}", text, labels=["cluster"])
        for name, text in figures.items()
    }
    age = GaugeMetricFamily("saola_reconciliation_age_seconds", "Time since the last one.", labels=["cluster"])
    gap = GaugeMetricFamily(
        "saola_reconciliation_counter_gap_gpu_seconds", "What slurmctld's own counters lost.", labels=["cluster"]
    )
    for cluster in Cluster.objects.all():
        last = reconciliation_last(cluster)
        if last is not None:
            for name, family in families.items():
                family.add_metric([cluster.name], getattr(last, name))
            age.add_metric([cluster.name], (now() - last.taken_at).total_seconds())
            gap.add_metric([cluster.name], sum(gap for gap in last.counter_gaps.values() if gap > 0))
    yield from (*families.values(), age, gap)
