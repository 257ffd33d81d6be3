"""Records become charges. Every record is charged once, under its key, however often and in whatever order it is read.

A chunk of records is one transaction: charges, holds, records and runs are committed together or not at all. The number
of statements grows with what is new in a chunk, not with what is read again: the overlap of two windows costs a query.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction

from portal.clock import now
from quotas.allocations.models import Allocation
from quotas.allocations.services import BookedCharge, Charge, charges_book, correction_book, hold_void, holds_void
from quotas.allocations.services.proposed import refund_propose_for_failed_node
from scheduler.clusters.adapters.protocol import AccountingRecord, QueueJob
from scheduler.clusters.models import Cluster
from scheduler.settlement.charges import charge_id
from scheduler.settlement.models import Reconciliation, Record
from scheduler.settlement.seen import Key, Ours, Seen, latest, of_queue, of_record, ours_read
from scheduler.settlement.services.arrays import tasks_never_started
from scheduler.settlement.services.holds import holds_lock
from scheduler.settlement.services.next_runs import next_apply, next_prepare
from scheduler.settlement.services.runs import allocation_move, jobs_close, runs_end, runs_ensure
from scheduler.settlement.services.work import Settled, Work

logger = logging.getLogger(__name__)
CHUNK = 1_000

_COPIED = (
    "job_id", "account", "user", "qos", "partition", "state", "started_at", "ended_at", "elapsed_s", "gpu_type", "gpus",
    "suspended_s", "uncharged_gpu_seconds", "gpu_seconds", "is_final", "allocation_id",
)  # fmt: skip
_UPDATED = [*_COPIED[:-1], "allocation", "charged_gpu_seconds", "overrun_gpu_seconds", "revision", "read_at"]


def settle(*, cluster: Cluster, records: Iterable[AccountingRecord], queue: Sequence[QueueJob] = ()) -> Settled:
    """Charges what is final and was not charged, corrects what changed, frees the holds of what never started.

    `queue` is squeue at about the same time: it says which requeued jobs wait for another run. A record that cannot be
    settled is logged and counted, and does not stop the others. Raises OperationalError or InterfaceError where the
    database is away.
    """
    done = Settled()
    ours = ours_read(cluster)
    waiting = {job.job_id: of_queue(job, ours) for job in queue if ours.has(job.account)}
    for chunk in _chunks(_of_ours(records, ours, done)):
        try:
            _chunk_settle(cluster, chunk, waiting, ours, done)
        except (OperationalError, InterfaceError):  # the database is away: nobody's record is to blame
            raise
        except Exception:
            logger.exception("settlement: %s: a chunk of %s records failed; one by one now", cluster.name, len(chunk))
            _singly_settle(cluster, chunk, waiting, ours, done)
    return done


def _of_ours(records: Iterable[AccountingRecord], ours: Ours, done: Settled) -> Iterator[AccountingRecord]:
    for record in records:
        done.read += 1
        if not ours.has(record.account):
            done.ignored += 1
        elif record.is_qos_pending:
            done.early += 1
        else:
            yield record


def _chunks(records: Iterator[AccountingRecord]) -> Iterator[list[AccountingRecord]]:
    while chunk := list(islice(records, CHUNK)):
        yield chunk


def _singly_settle(
    cluster: Cluster, chunk: list[AccountingRecord], waiting: dict[int, Seen], ours: Ours, done: Settled
) -> None:
    for record in chunk:
        try:
            _chunk_settle(cluster, [record], waiting, ours, done)
        except (OperationalError, InterfaceError):  # the database is away: nobody's record is to blame
            raise
        except Exception:
            logger.exception("settlement: %s: job %s could not be settled", cluster.name, record.job_id)
            done.failed.append(record.job_id)


def _chunk_settle(
    cluster: Cluster, chunk: list[AccountingRecord], waiting: dict[int, Seen], ours: Ours, total: Settled
) -> None:
    done = Settled()
    with transaction.atomic():
        works = _changed(cluster, latest(chunk), ours, done)
        if works:
            runs = runs_ensure(cluster=cluster, seen=[work.seen for work in works], ours=ours)
            for work in works:
                work.run = runs.get(work.seen.key)
                _allocation_of_run(work, ours)
            works = [work for work in works if not _is_left_to_jobs(work)]
            holds_lock(work.run for work in works if work.run is not None and work.record.is_final)
            _book(cluster, works, waiting, done)
            _save(works)
            _runs_finish(works)
    for name in ("unchanged", "charged", "charged_gpu_seconds", "corrected", "voided", "requeued", "withheld"):
        setattr(total, name, getattr(total, name) + getattr(done, name))


def _changed(cluster: Cluster, records: dict[Key, AccountingRecord], ours: Ours, done: Settled) -> list[Work]:
    """Those records that are new, or differ from what was read before."""
    charges = {charge_id(cluster.name, *key): record for key, record in records.items()}
    known = {row.charge: row for row in Record.objects.select_for_update().filter(charge__in=charges).order_by("pk")}
    works = []
    for charge, record in charges.items():
        fresh, seen = _row(cluster, charge, record, ours)
        row = known.get(charge)
        if row is None:
            works.append(Work(fresh, seen))
            continue
        settled = row.is_final and row.charged_gpu_seconds == row.gpu_seconds
        same = row.gpu_seconds == fresh.gpu_seconds and row.state == fresh.state and row.ended_at == fresh.ended_at
        # A finished record never becomes an open one again here: what was charged stays until a new end is known.
        if row.imported or (row.is_final and not fresh.is_final) or (settled and same):
            done.unchanged += 1
            continue
        if fresh.gpu_seconds < row.charged_gpu_seconds and _stands(row):
            done.withheld += 1
            continue
        if not fresh.is_final and (row.state, row.gpus, row.started_at) == (fresh.state, fresh.gpus, fresh.started_at):
            done.unchanged += 1  # it runs on; its elapsed time alone is not worth a write
            continue
        if row.allocation_id is not None and row.charged_gpu_seconds:
            fresh.allocation_id = row.allocation_id  # a charge is corrected where it was booked
        for name in _COPIED:
            setattr(row, name, getattr(fresh, name))
        works.append(Work(row, seen))
    return works


def _stands(row: Record) -> bool:
    """Whether a charge is not lowered now: an operator said so, or slurmdbd misses records that were charged.

    A database restored from a backup shows jobs as they were then, and who repairs it there ends them with no time
    used. Nothing is given back for that until an operator has looked (`missing_keep`).
    """
    last = Reconciliation.objects.filter(cluster=row.cluster_id).only("missing_records").first()
    return row.kept_id is not None or (last is not None and last.missing_records > 0)


def _row(cluster: Cluster, charge: UUID, record: AccountingRecord, ours: Ours) -> tuple[Record, Seen]:
    seen = of_record(record, ours)
    allocation = ours.allocation(account=record.account, qos=record.qos, gpu_type=seen.gpu_type)
    row = Record(
        cluster=cluster,
        job_id_raw=record.job_id_raw,
        submit_at=record.submit_at,
        charge=charge,
        allocation=allocation,
        job_id=record.job_id[:40],
        account=record.account,
        user=record.user[:64],
        qos=record.qos[:120],
        partition=record.partition[:64],
        state=record.state[:24],
        started_at=record.start_at,
        ended_at=record.end_at,
        elapsed_s=max(record.elapsed_s, 0),
        suspended_s=_suspended_s(record),
        gpu_type=seen.gpu_type,
        gpus=seen.gpus,
        gpu_seconds=ours.gpu_seconds(seen, record.elapsed_s) if record.is_final else 0,
        is_final=record.is_final,
    )
    if record.is_final:
        row.uncharged_gpu_seconds = seen.gpus * (row.elapsed_s + row.suspended_s) - row.gpu_seconds
    return row, seen


def _suspended_s(record: AccountingRecord) -> int:
    if not record.is_final or record.start_at is None or record.end_at is None:
        return 0
    return max(0, int((record.end_at - record.start_at).total_seconds()) - max(record.elapsed_s, 0))


def _allocation_of_run(work: Work, ours: Ours) -> None:
    """A record whose QOS is none of ours, or never became known, is charged where its run was seen to count."""
    run, record = work.run, work.record
    if run is None or record.qos in ours.allocation_of_qos or record.charged_gpu_seconds:
        return
    if run.job.project_id == ours.project_of_account.get(record.account):
        record.allocation_id = run.job.allocation_id


def _is_left_to_jobs(work: Work) -> bool:
    """A job that the jobs app still looks for is bound first. Its record comes again: by its id, or in the sweep."""
    return work.run is None and work.record.allocation_id is not None


# --- booking ------------------------------------------------------------------------------------------------------


def _book(cluster: Cluster, works: list[Work], waiting: dict[int, Seen], done: Settled) -> None:
    charges: dict[UUID, tuple[Work, Charge]] = {}
    ending = {work.run.pk for work in works if work.run is not None and work.record.is_final}
    for work in works:
        record = work.record
        if not record.is_final or record.allocation_id is None:
            continue
        next_prepare(work, waiting, cluster, ending)
        hold = _own_hold(work, done)
        if record.charged_gpu_seconds or record.revision:
            _correct(record, done)
        elif record.gpu_seconds:
            charges[record.charge] = (work, _charge(cluster, work, hold))
            continue
        elif hold is not None:
            holds = [hold, *tasks_never_started(work.run, work.seen, record)]
            done.voided += holds_void(
                hold_ids=holds, event_at=_event_at(record), reason=_reason(cluster, record), actor=_actor(cluster)
            )
        next_apply(work, taken=False, done=done)
    booked = (
        charges_book(charges=[charge for _work, charge in charges.values()], actor=_actor(cluster)) if charges else []
    )
    for result in booked:
        _charged(charges[result.charge_id][0], result, done)


def _own_hold(work: Work, done: Settled) -> UUID | None:
    """The run's open hold, if it lies on the allocation that is charged. One on another allocation is given back."""
    run, record = work.run, work.record
    if run is None or run.hold is None or run.hold_resolved:
        return None
    allocation_id = record.allocation_id
    assert allocation_id is not None
    if run.job.allocation_id == allocation_id:
        return run.hold
    done.voided += hold_void(
        hold_id=run.hold, event_at=_event_at(record), reason="it ran in another allocation", actor="settlement"
    )
    run.hold_resolved = True
    allocation_move(run.job, Allocation.objects.get(pk=allocation_id))
    return None


def _charge(cluster: Cluster, work: Work, hold: UUID | None) -> Charge:
    record = work.record
    assert record.allocation_id is not None
    return Charge(
        charge_id=record.charge,
        allocation_id=record.allocation_id,
        gpu_seconds=record.gpu_seconds,
        hold_id=hold,
        event_at=_event_at(record),
        reason=_reason(cluster, record),
        next_hold=work.next_hold,
    )


def _charged(work: Work, result: BookedCharge, done: Settled) -> None:
    work.record.charged_gpu_seconds = result.gpu_seconds
    work.record.overrun_gpu_seconds = result.overrun
    if work.record.state == "NODE_FAIL":
        _refund_propose(work.record, result)
    done.charged += 1
    done.charged_gpu_seconds += result.gpu_seconds
    next_apply(work, taken=result.next_hold_taken, done=done)


def _refund_propose(record: Record, result: BookedCharge) -> None:
    """A node of the centre's failed: an operator is asked whether the organisation gets the run's GPU-seconds back."""
    assert record.allocation_id is not None
    refund_propose_for_failed_node(
        allocation_id=record.allocation_id,
        charge_id=record.charge,
        amount_gpu_seconds=result.gpu_seconds - result.overrun,
        reason=f"Slurm job {record.job_id} on {record.cluster.name}: NODE_FAIL",
        process=_actor(record.cluster),
    )


def _correct(record: Record, done: Settled) -> None:
    difference = record.gpu_seconds - record.charged_gpu_seconds
    if not difference:
        return
    record.revision += 1
    assert record.allocation_id is not None
    result = correction_book(
        allocation_id=record.allocation_id,
        record_charge_id=record.charge,
        revision=record.revision,
        difference_gpu_seconds=difference,
        event_at=_event_at(record),
        reason=f"slurm {record.job_id} changed to {record.gpu_seconds} GPU-seconds",
        actor="settlement",
    )
    record.charged_gpu_seconds += result.difference
    record.overrun_gpu_seconds += result.overrun_difference
    done.corrected += 1
    done.charged_gpu_seconds += result.difference


def _event_at(record: Record) -> datetime:
    return record.ended_at or record.submit_at


def _reason(cluster: Cluster, record: Record) -> str:
    return f"slurm {cluster.name} {record.job_id} {record.state}"


def _actor(cluster: Cluster) -> str:
    return f"worker:cluster.{cluster.name}"


# --- rows ---------------------------------------------------------------------------------------------------------


def _save(works: list[Work]) -> None:
    """New records and changed ones alike. An upsert: bulk_update's CASE per field and row is many times slower."""
    moment = now()
    for work in works:
        work.record.read_at = moment
    Record.objects.bulk_create(
        [work.record for work in works],
        batch_size=500,
        update_conflicts=True,
        unique_fields=["charge"],
        update_fields=_UPDATED,
    )


def _runs_finish(works: list[Work]) -> None:
    """Closes the runs of finished records, then the jobs none of whose runs is open."""
    ended = [(work.run, work.record) for work in works if work.run is not None and work.record.is_final]
    runs_end(ended)
    requeued = {work.run.pk for work in works if work.run and work.record.state == "REQUEUED"}
    jobs_close({run.job_id for run, _record in ended}, requeued=requeued)
