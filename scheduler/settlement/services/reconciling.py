"""Three numbers compared: the ledger's, slurmdbd's and slurmctld's own counter. Published, whatever they say.

The residual is the sum over all records of |slurmdbd − ledger|, so that two errors never make a zero: it is zero only
if the list of differences is empty too. What slurmdbd purged by its own configuration, and what an operator said stands
although slurmdbd lost it, are no differences; they are counted apart.
"""

import time
from datetime import timedelta

from django.db.models import F, Sum

from portal.clock import now
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.adapters.protocol import ClusterAdapter
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Run
from scheduler.settlement.errors import MoreMissing
from scheduler.settlement.models import Kept, Reconciliation, Record
from scheduler.settlement.selectors import uncharged_by_qos
from scheduler.settlement.services.comparing import KEEPABLE, MISSING, Compared, compared

EVERY = timedelta(hours=1)
AGAIN_AFTER = timedelta(minutes=5)  # while something differs
DIFFERENCES_KEPT = 200  # of each reconciliation; the number of all is kept beside them
UNSETTLED_KEPT = 5_000  # job numbers that the next reading asks for
KEPT = 1_000  # reconciliations of a cluster


def reconcile(*, cluster: Cluster, adapter: ClusterAdapter | None = None) -> Reconciliation:
    """Reads all of slurmdbd's records of our accounts, compares and stores the result. Only for workers and commands.

    Finished records count; one that has not ended has not been charged. Raises ClusterError.
    """
    adapter = adapter or adapter_for(cluster.name)
    began = time.monotonic()
    gaps = counter_gaps(cluster, adapter)
    with compared(cluster, adapter) as found:
        return _store(cluster, found, gaps, began)


def reconcile_if_due(*, cluster: Cluster, adapter: ClusterAdapter) -> Reconciliation | None:
    """Every hour; every five minutes while something differs."""
    last = Reconciliation.objects.filter(cluster=cluster).first()
    if last is not None:
        wait = AGAIN_AFTER if last.residual_gpu_seconds or last.counter_gaps else EVERY
        if now() - last.taken_at < wait:
            return None
    return reconcile(cluster=cluster, adapter=adapter)


def missing_keep(
    *, cluster: Cluster, seen_gpu_seconds: int, reason: str, actor: str, adapter: ClusterAdapter | None = None
) -> None:
    """The charges of what slurmdbd lost stand: nothing is booked, the records stop being differences.

    `seen_gpu_seconds` is how much the person saw missing; where more is missing now nothing is done. Reconciles anew
    either way. Raises MoreMissing and ClusterError.
    """
    adapter = adapter or adapter_for(cluster.name)
    with compared(cluster, adapter) as found:
        missing_gpu_seconds = found.gpu_seconds(*KEEPABLE)
        if 0 < missing_gpu_seconds <= seen_gpu_seconds:
            kept = Kept.objects.create(
                cluster=cluster,
                kept_at=now(),
                actor=actor,
                reason=reason,
                records_count=found.count(*KEEPABLE),
                gpu_seconds=missing_gpu_seconds,
            )
            found.keep(kept.pk)
    reconcile(cluster=cluster, adapter=adapter)
    if missing_gpu_seconds > seen_gpu_seconds:
        raise MoreMissing(missing_gpu_seconds)


def counter_gaps(cluster: Cluster, adapter: ClusterAdapter) -> dict[str, int]:
    """By QOS: how many settled GPU-seconds slurmctld's counter lost (it is not durable: a kill -9 sets it back).

    Below 0: it counted more than was charged. Seen after restarts, by less than what ran in one PriorityCalcPeriod.
    Only where no run of the allocation is open: what a job used is in the counter before its record is read.
    """
    names = {row.pk: row.qos for row in Allocation.objects.filter(cluster=cluster.name).only("pk", "qos")}
    settled = (
        Record.objects.filter(cluster=cluster, imported=False, qos=F("allocation__qos"))
        .values("allocation")
        .annotate(sum=Sum("charged_gpu_seconds"))
    )
    expected = {names[row["allocation"]]: row["sum"] for row in settled if row["sum"]}
    for qos, amount in uncharged_by_qos(cluster).items():  # the counter has it, though nobody is charged
        expected[qos] = expected.get(qos, 0) + amount
    usage = adapter.qos_usage(expected) if expected else {}
    gaps = {qos: total - usage[qos].usage_raw_gpu_seconds for qos, total in expected.items() if qos in usage}
    open_runs = Run.objects.filter(cluster=cluster, ended_at=None, job__allocation__qos__in=gaps)
    busy = set(open_runs.values_list("job__allocation__qos", flat=True))
    return {qos: gap for qos, gap in sorted(gaps.items()) if gap > 0 or (gap < 0 and qos not in busy)}


def _store(cluster: Cluster, found: Compared, gaps: dict[str, int], began: float) -> Reconciliation:
    overrun = Record.objects.filter(cluster=cluster).aggregate(sum=Sum("overrun_gpu_seconds"))["sum"] or 0
    row = Reconciliation.objects.create(
        cluster=cluster,
        taken_at=now(),
        records=found.records,
        charged_gpu_seconds=found.charged_gpu_seconds,
        slurmdbd_gpu_seconds=found.slurmdbd_gpu_seconds,
        imported_gpu_seconds=found.imported_gpu_seconds,
        residual_gpu_seconds=found.gpu_seconds(*found.differences),
        overrun_gpu_seconds=overrun,
        oldest_at=found.oldest_at,
        purged_before=found.purged_before,
        purged_records=found.count("purged"),
        purged_gpu_seconds=found.gpu_seconds("purged"),
        kept_records=found.count("kept"),
        kept_gpu_seconds=found.gpu_seconds("kept"),
        missing_records=found.count(*MISSING),
        keepable_gpu_seconds=found.gpu_seconds(*KEEPABLE),
        others_records=found.others_records,
        others_gpu_seconds=found.others_gpu_seconds,
        counter_gaps=gaps,
        differences=found.largest(DIFFERENCES_KEPT),
        differences_count=found.count(*found.differences),
        unsettled_ids=found.unsettled_ids(UNSETTLED_KEPT),
        duration_s=time.monotonic() - began,
    )
    old = Reconciliation.objects.filter(cluster=cluster).values_list("pk", flat=True)[KEPT : KEPT + 100]
    Reconciliation.objects.filter(pk__in=list(old)).delete()
    return row
