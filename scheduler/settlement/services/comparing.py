"""slurmdbd's records beside what the ledger booked for each: one statement over all of them, whatever their number."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from portal.clock import now
from scheduler.clusters.adapters.protocol import AccountingRecord, ClusterAdapter, ClusterError, ClusterUnreachable
from scheduler.clusters.models import Cluster
from scheduler.settlement.charges import charge_id
from scheduler.settlement.seen import Ours, of_record, ours_read

logger = logging.getLogger(__name__)

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
        charge uuid, job_id_raw bigint, job_id text, account text, qos text, submit_at timestamptz, state text,
        gpu_seconds bigint, is_final boolean
    ) ON COMMIT DROP
"""
_COPY = """
    COPY reconcile_read (charge, job_id_raw, job_id, account, qos, submit_at, state, gpu_seconds, is_final) FROM STDIN
"""
# Settled while this was reading, and so perhaps after slurmdbd had shown its part: the next comparison has them.
_DROP_YOUNGER = """
    DELETE FROM reconcile_booked USING settlement_record record
     WHERE record.charge = reconcile_booked.charge AND record.read_at >= %s
       AND NOT EXISTS (SELECT FROM reconcile_read WHERE reconcile_read.charge = reconcile_booked.charge)
"""
# Charged, and not in what slurmdbd lists by time. The youngest first: who lost very many lost them for good.
_UNLISTED = """
    SELECT booked.charge, record.job_id_raw FROM reconcile_booked booked
      JOIN settlement_record record ON record.charge = booked.charge
     WHERE record.imported IS NOT TRUE AND record.kept_id IS NULL AND coalesce(record.submit_at >= %s, true)
       AND NOT EXISTS (SELECT FROM reconcile_read WHERE reconcile_read.charge = booked.charge)
     ORDER BY record.submit_at DESC LIMIT %s
"""
_DIFFERENCES = """
    CREATE TEMPORARY TABLE reconcile_difference ON COMMIT DROP AS
    SELECT coalesce(read.charge, booked.charge) AS charge, coalesce(read.job_id_raw, record.job_id_raw) AS job_id_raw,
           coalesce(read.job_id, record.job_id, '?') AS job, coalesce(read.account, record.account, '?') AS account,
           coalesce(read.qos, record.qos, '?') AS qos, coalesce(read.submit_at, record.submit_at) AS submit_at,
           coalesce(read.state, record.state, '?') AS state, coalesce(read.gpu_seconds, 0) AS slurmdbd,
           coalesce(booked.gpu_seconds, 0) AS charged,
           CASE WHEN record.id IS NULL AND booked.charge IS NULL THEN 'not_settled'
                WHEN record.id IS NULL THEN 'no_record'
                WHEN record.kept_id IS NOT NULL AND coalesce(read.gpu_seconds, 0) < booked.gpu_seconds THEN 'kept'
                WHEN read.charge IS NULL AND record.submit_at < %s THEN 'purged'
                WHEN read.charge IS NULL THEN 'not_in_slurmdbd'
                WHEN NOT read.is_final THEN 'reopened'
                WHEN record.allocation_id IS NULL THEN 'no_allocation'
                WHEN record.charged_gpu_seconds <> coalesce(booked.gpu_seconds, 0) THEN 'ledger'
                WHEN coalesce(read.gpu_seconds, 0) < booked.gpu_seconds THEN 'less'
                ELSE 'amount' END AS kind
      FROM reconcile_read read
      FULL JOIN reconcile_booked booked ON booked.charge = read.charge
      LEFT JOIN settlement_record record ON record.charge = coalesce(read.charge, booked.charge)
     WHERE record.imported IS NOT TRUE AND coalesce(read.gpu_seconds, 0) <> coalesce(booked.gpu_seconds, 0)
"""
_SUMS = """
    SELECT (SELECT count(*) FROM reconcile_read WHERE is_final),
           (SELECT coalesce(sum(gpu_seconds), 0)::bigint FROM reconcile_read),
           coalesce(sum(booked.gpu_seconds) FILTER (WHERE record.imported IS NOT TRUE), 0)::bigint,
           coalesce(sum(booked.gpu_seconds) FILTER (WHERE record.imported), 0)::bigint
      FROM reconcile_booked booked LEFT JOIN settlement_record record ON record.charge = booked.charge
"""
_KINDS = "SELECT kind, count(*), sum(abs(slurmdbd - charged))::bigint FROM reconcile_difference GROUP BY kind"
_LARGEST = """
    SELECT kind, job, account, qos, submit_at, state, slurmdbd, charged FROM reconcile_difference
     WHERE NOT kind = ANY (%s) ORDER BY abs(slurmdbd - charged) DESC, job LIMIT %s
"""
_UNSETTLED = """
    SELECT DISTINCT job_id_raw FROM reconcile_difference WHERE kind IN ('not_settled', 'amount', 'less')
     ORDER BY job_id_raw LIMIT %s
"""
_KEEP = """
    UPDATE settlement_record SET kept_id = %s FROM reconcile_difference difference
     WHERE settlement_record.charge = difference.charge AND difference.kind = ANY (%s)
"""
EXPLAINED = ("purged", "kept")  # known and right: shown apart, no differences
MISSING = ("not_in_slurmdbd", "reopened")
KEEPABLE = (*MISSING, "less")
UNLISTED_MOST = 5_000  # read by their numbers


@dataclass(frozen=True)
class Compared:
    """What a comparison found. While it is open, its temporary tables can be asked for more."""

    oldest_at: datetime | None
    purged_before: datetime | None
    others_records: int
    others_gpu_seconds: int
    records: int
    slurmdbd_gpu_seconds: int
    charged_gpu_seconds: int
    imported_gpu_seconds: int
    kinds: Mapping[str, tuple[int, int]]  # by kind: how many, and their GPU-seconds

    def count(self, *kinds: str) -> int:
        return sum(self.kinds.get(kind, (0, 0))[0] for kind in kinds)

    def gpu_seconds(self, *kinds: str) -> int:
        return sum(self.kinds.get(kind, (0, 0))[1] for kind in kinds)

    @property
    def differences(self) -> tuple[str, ...]:
        return tuple(kind for kind in self.kinds if kind not in EXPLAINED)

    def largest(self, limit: int) -> list[dict[str, Any]]:
        return [_difference(row) for row in _ask(_LARGEST, [list(EXPLAINED), limit])]

    def unsettled_ids(self, limit: int) -> list[int]:
        """Numbers of jobs that must be read again: not charged, or changed after their charge."""
        return [row[0] for row in _ask(_UNSETTLED, [limit])]

    def keep(self, kept_id: int) -> None:
        """Marks the records whose charges stand."""
        with connection.cursor() as cursor:
            cursor.execute(_KEEP, [kept_id, list(KEEPABLE)])


@contextmanager
def compared(cluster: Cluster, adapter: ClusterAdapter) -> Iterator[Compared]:
    """Reads all of slurmdbd's records, in one transaction. Finished ones count: what has not ended is not charged.

    Raises ClusterError.
    """
    began_at = now()
    purged_before = _purge_horizon(cluster, adapter)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_READ)
        oldest_at, others_records, others_gpu_seconds = _records_copy(cursor, cluster, adapter)
        cursor.execute(_BOOKED, [cluster.name, cluster.name])
        cursor.execute(_DROP_YOUNGER, [began_at])
        _unlisted_copy(cursor, cluster, adapter, purged_before)
        cursor.execute("ANALYZE reconcile_read; ANALYZE reconcile_booked")
        cursor.execute(_SUMS)
        records, slurmdbd, charged, imported = cursor.fetchone()
        cursor.execute(_DIFFERENCES, [purged_before])
        cursor.execute(_KINDS)
        yield Compared(
            oldest_at=oldest_at,
            purged_before=purged_before,
            others_records=others_records,
            others_gpu_seconds=others_gpu_seconds,
            records=records,
            slurmdbd_gpu_seconds=slurmdbd,
            charged_gpu_seconds=charged,
            imported_gpu_seconds=imported,
            kinds={kind: (count, amount) for kind, count, amount in cursor.fetchall()},
        )
        cursor.execute("DROP TABLE reconcile_read, reconcile_booked, reconcile_difference")


def _records_copy(cursor: Any, cluster: Cluster, adapter: ClusterAdapter) -> tuple[datetime | None, int, int]:
    """Ours into reconcile_read; of the others the oldest submission, the number and the GPU-seconds."""
    ours = ours_read(cluster)
    oldest_at: datetime | None = None
    others = others_gpu_seconds = 0
    with cursor.copy(_COPY) as copy:
        for record in adapter.records():
            if oldest_at is None or record.submit_at < oldest_at:
                oldest_at = record.submit_at
            if not ours.has(record.account):
                others += record.is_final
                others_gpu_seconds += sum(record.gpus.values()) * max(record.elapsed_s, 0) * record.is_final
                continue
            copy.write_row(_row(cluster, ours, record))
    return oldest_at, others, others_gpu_seconds


def _unlisted_copy(cursor: Any, cluster: Cluster, adapter: ClusterAdapter, purged_before: datetime | None) -> None:
    """What slurmdbd shows by its number only: a job that it never heard to be eligible (its daemon was down then) is in
    no list by time, and in no report of sreport's, for good."""
    cursor.execute(_UNLISTED, [purged_before, UNLISTED_MOST])
    unlisted: dict[UUID, int] = dict(cursor.fetchall())
    if not unlisted:
        return
    ours = ours_read(cluster)
    with cursor.copy(_COPY) as copy:
        for record in adapter.records(job_ids=sorted(set(unlisted.values()))):
            if unlisted.pop(charge_id(cluster.name, record.job_id_raw, record.submit_at), None):
                copy.write_row(_row(cluster, ours, record))


def _row(cluster: Cluster, ours: Ours, record: AccountingRecord) -> tuple[Any, ...]:
    elapsed_s = max(record.elapsed_s, 0) if record.is_final else 0
    return (
        charge_id(cluster.name, record.job_id_raw, record.submit_at),
        record.job_id_raw,
        record.job_id,
        record.account,
        record.qos,
        record.submit_at,
        record.state,
        ours.gpu_seconds(of_record(record, ours), elapsed_s),
        record.is_final,
    )


def _purge_horizon(cluster: Cluster, adapter: ClusterAdapter) -> datetime | None:
    """None where slurmdbd does not say: then a record that is gone is a difference. Raises ClusterUnreachable."""
    try:
        return adapter.purge_horizon()
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        logger.warning("settlement: %s: whether slurmdbd purges records is not known: %s", cluster.name, error)
        return None


def _ask(statement: str, values: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def _difference(row: Any) -> dict[str, Any]:
    kind, job, account, qos, submit_at, state, slurmdbd, charged = row
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
