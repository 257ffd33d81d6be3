"""Three numbers compared: the ledger's, slurmdbd's and slurmctld's own counter. Published, whatever they say.

The residual is the sum over all records of |slurmdbd − ledger|, so that two errors never make a zero: it is zero only
if the list of differences is empty too.
"""

import time
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Sum

from portal.clock import now
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.adapters.protocol import ClusterAdapter
from scheduler.clusters.models import Cluster
from scheduler.settlement.charges import charge_id
from scheduler.settlement.models import Reconciliation, Record
from scheduler.settlement.seen import of_record, ours_read

EVERY = timedelta(hours=1)
AGAIN_AFTER = timedelta(minutes=5)  # while something differs
DIFFERENCES_KEPT = 200  # of each reconciliation; the number of all is kept beside them
KEPT = 1_000  # reconciliations of a cluster

# What the ledger booked for each charge, corrections included, refunds not: a refund gives back, it does not unsay.
_BOOKED = """
    CREATE TEMPORARY TABLE reconcile_booked ON COMMIT DROP AS
    SELECT moved.batch AS charge, sum(moved.amount)::bigint AS gpu_seconds
      FROM (SELECT transfer.id, transfer.batch, transfer.amount
              FROM allocations_allocation allocation
              JOIN ledger_transfer transfer ON transfer.credit_id = allocation.consumed_account_id
             WHERE allocation.cluster = %s AND transfer.kind IN ('direct', 'post')
             UNION ALL
            SELECT transfer.id, transfer.batch, -transfer.amount
              FROM allocations_allocation allocation
              JOIN ledger_transfer transfer ON transfer.debit_id = allocation.consumed_account_id
             WHERE allocation.cluster = %s AND transfer.kind IN ('direct', 'post')) moved
      LEFT JOIN allocations_refund refund ON refund.id = moved.id
     WHERE refund.id IS NULL
     GROUP BY moved.batch
"""
_READ = """
    CREATE TEMPORARY TABLE reconcile_read (
        charge uuid, job_id text, account text, qos text, submit_at timestamptz, state text, gpu_seconds bigint
    ) ON COMMIT DROP
"""
_COPY = "COPY reconcile_read (charge, job_id, account, qos, submit_at, state, gpu_seconds) FROM STDIN"
# Settled while this was reading, and so perhaps after slurmdbd had shown its part: the next comparison has them.
_DROP_YOUNGER = """
    DELETE FROM reconcile_booked USING settlement_record record
     WHERE record.charge = reconcile_booked.charge AND record.read_at >= %s
       AND NOT EXISTS (SELECT FROM reconcile_read WHERE reconcile_read.charge = reconcile_booked.charge)
"""
_SUMS = """
    SELECT (SELECT count(*) FROM reconcile_read),
           (SELECT coalesce(sum(gpu_seconds), 0)::bigint FROM reconcile_read),
           coalesce(sum(booked.gpu_seconds) FILTER (WHERE record.imported IS NOT TRUE), 0)::bigint,
           coalesce(sum(booked.gpu_seconds) FILTER (WHERE record.imported), 0)::bigint
      FROM reconcile_booked booked LEFT JOIN settlement_record record ON record.charge = booked.charge
"""
_DIFFERENCES = """
    SELECT coalesce(read.job_id, record.job_id, '?'), coalesce(read.account, record.account, '?'),
           coalesce(read.qos, record.qos, '?'), coalesce(read.submit_at, record.submit_at),
           coalesce(read.state, record.state, '?'), coalesce(read.gpu_seconds, 0), coalesce(booked.gpu_seconds, 0),
           CASE WHEN record.id IS NULL AND booked.charge IS NULL THEN 'not_settled'
                WHEN record.id IS NULL THEN 'no_record'
                WHEN read.charge IS NULL THEN 'not_in_slurmdbd'
                WHEN record.allocation_id IS NULL THEN 'no_allocation'
                WHEN record.charged_gpu_seconds <> coalesce(booked.gpu_seconds, 0) THEN 'ledger'
                ELSE 'amount' END
      FROM reconcile_read read
      FULL JOIN reconcile_booked booked ON booked.charge = read.charge
      LEFT JOIN settlement_record record ON record.charge = coalesce(read.charge, booked.charge)
     WHERE record.imported IS NOT TRUE AND coalesce(read.gpu_seconds, 0) <> coalesce(booked.gpu_seconds, 0)
     ORDER BY abs(coalesce(read.gpu_seconds, 0) - coalesce(booked.gpu_seconds, 0)) DESC, 1
"""


def reconcile(*, cluster: Cluster, adapter: ClusterAdapter | None = None) -> Reconciliation:
    """Reads all of slurmdbd's records of our accounts, compares and stores the result. Only for workers and commands.

    Finished records count; one that has not ended has not been charged. Raises ClusterError.
    """
    adapter = adapter or adapter_for(cluster.name)
    began_at, began = now(), time.monotonic()
    gaps = counter_gaps(cluster, adapter)
    ours = ours_read(cluster)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_READ)
        with cursor.copy(_COPY) as copy:
            for record in adapter.records():
                if not ours.has(record.account) or not record.is_final:
                    continue
                seen = of_record(record, ours)
                key = charge_id(cluster.name, record.job_id_raw, record.submit_at)
                amount = seen.gpus * max(record.elapsed_s, 0)
                copy.write_row((key, record.job_id, record.account, record.qos, record.submit_at, record.state, amount))
        cursor.execute(_BOOKED, [cluster.name, cluster.name])
        cursor.execute(_DROP_YOUNGER, [began_at])
        cursor.execute("ANALYZE reconcile_read; ANALYZE reconcile_booked")
        cursor.execute(_SUMS)
        records, slurmdbd, charged, imported = cursor.fetchone()
        cursor.execute(_DIFFERENCES)
        differences = [_difference(row) for row in cursor.fetchall()]
        cursor.execute("DROP TABLE reconcile_read, reconcile_booked")
    return _store(
        cluster,
        records=records,
        charged_gpu_seconds=charged,
        slurmdbd_gpu_seconds=slurmdbd,
        imported_gpu_seconds=imported,
        counter_gaps=gaps,
        differences=differences,
        duration_s=time.monotonic() - began,
    )


def reconcile_if_due(*, cluster: Cluster, adapter: ClusterAdapter) -> Reconciliation | None:
    """Every hour; every five minutes while something differs."""
    last = Reconciliation.objects.filter(cluster=cluster).first()
    if last is not None:
        wait = AGAIN_AFTER if last.residual_gpu_seconds or last.counter_gaps else EVERY
        if now() - last.taken_at < wait:
            return None
    return reconcile(cluster=cluster, adapter=adapter)


def counter_gaps(cluster: Cluster, adapter: ClusterAdapter) -> dict[str, int]:
    """By QOS: how many settled GPU-seconds slurmctld's counter lost (it is not durable: a kill -9 sets it back)."""
    names = {row.pk: row.qos for row in Allocation.objects.filter(cluster=cluster.name).only("pk", "qos")}
    settled = (
        Record.objects.filter(cluster=cluster, imported=False, qos=F("allocation__qos"))
        .values("allocation")
        .annotate(sum=Sum("charged_gpu_seconds"))
    )
    expected = {names[row["allocation"]]: row["sum"] for row in settled if row["sum"]}
    usage = adapter.qos_usage(expected) if expected else {}
    gaps = {qos: total - usage[qos].usage_raw_gpu_seconds for qos, total in expected.items() if qos in usage}
    return {qos: gap for qos, gap in sorted(gaps.items()) if gap > 0}


def _difference(row: Any) -> dict[str, Any]:
    job, account, qos, submit_at, state, slurmdbd, charged, kind = row
    return {
        "kind": kind,
        "job": job,
        "account": account,
        "qos": qos,
        "submit_at": submit_at.isoformat() if submit_at else "",
        "state": state,
        "slurmdbd_gpu_seconds": slurmdbd,
        "charged_gpu_seconds": charged,
    }


def _store(
    cluster: Cluster, *, differences: list[dict[str, Any]], counter_gaps: dict[str, int], **figures: Any
) -> Reconciliation:
    overrun = Record.objects.filter(cluster=cluster).aggregate(sum=Sum("overrun_gpu_seconds"))["sum"] or 0
    row = Reconciliation.objects.create(
        cluster=cluster,
        taken_at=now(),
        residual_gpu_seconds=sum(abs(one["slurmdbd_gpu_seconds"] - one["charged_gpu_seconds"]) for one in differences),
        overrun_gpu_seconds=overrun,
        counter_gaps=counter_gaps,
        differences=differences[:DIFFERENCES_KEPT],
        differences_count=len(differences),
        **figures,
    )
    old = Reconciliation.objects.filter(cluster=cluster).values_list("pk", flat=True)[KEPT : KEPT + 100]
    Reconciliation.objects.filter(pk__in=list(old)).delete()
    return row
