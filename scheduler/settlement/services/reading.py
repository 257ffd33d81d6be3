"""What is read from slurmdbd, and when: nothing is missed, whatever is late, and what was read twice does no harm.

Records appear late (slurmctld keeps them while slurmdbd is down), change until they are final, and sometimes after. So
there are four readings: windows that overlap, once a day a wide sweep, by its number every run once seen that has no
final record yet and that squeue no longer shows, and by its number what the last reconciliation, which reads all
records, found uncharged or changed: however old that is.

All times here are slurmctld's, which writes those of jobs: a clock that differs from the portal's moves no window.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from django.db import transaction
from django.db.models import Max

from portal.clock import now
from scheduler.clusters.adapters.protocol import AccountingRecord, ClusterAdapter
from scheduler.clusters.models import Cluster
from scheduler.clusters.services import Look
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import runs_void
from scheduler.settlement.charges import job_state
from scheduler.settlement.models import Cursor, Reconciliation, Record
from scheduler.settlement.seen import Key
from scheduler.settlement.services.runs import jobs_close
from scheduler.settlement.services.settling import settle
from scheduler.settlement.services.work import Settled

OVERLAP = timedelta(minutes=10)  # of two windows; far above the seconds that a record takes to reach slurmdbd
SWEEP_EVERY = timedelta(days=1)
SWEEP_BACK = timedelta(days=32)  # a month, so that even a weekend of a dead slurmdbd is inside
IDS_LIMIT = 5_000  # runs looked up by number in one cycle, the oldest first
GONE_AFTER = timedelta(minutes=2)  # above MessageTimeout and one cycle


def records_settle(*, cluster: Cluster, adapter: ClusterAdapter, look: Look) -> Settled:
    """Reads what is due and settles it; then, and only then, moves the cursor.

    Raises ClusterError where slurmdbd does not answer: the cursor stays, and the next cycle reads the same again.
    """
    began_at = look.status.slurm_now
    cursor = Cursor.objects.filter(cluster=cluster).first()
    since, is_sweep = _since(cluster, cursor, began_at)
    ids = sorted({*_unsettled_ids(cluster, look), *_found_ids(cluster, cursor)})
    readings = [adapter.records(since=since)]
    if ids:
        readings.append(adapter.records(job_ids=ids))
    found: set[Key] = set()
    done = settle(cluster=cluster, records=_noting(chain.from_iterable(readings), found), queue=look.queue)
    _gone_close(cluster, look, found)
    _tasks_gone_end(cluster, look)
    _cursor_move(cluster, cursor, began_at, is_sweep=is_sweep, look=look)
    return done


def _since(cluster: Cluster, cursor: Cursor | None, moment: datetime) -> tuple[datetime, bool]:
    """From when on records are read, and whether this is the wide sweep."""
    beginning = cluster.created_at - SWEEP_EVERY  # before the portal knew the cluster, none of its accounts was ours
    if cursor is None:
        return beginning, True
    read_until = min(cursor.read_until, moment)  # a clock may have been set back
    if cursor.swept_at is None or abs(moment - cursor.swept_at) >= SWEEP_EVERY:
        return max(beginning, min(read_until - OVERLAP, moment - SWEEP_BACK)), True
    return read_until - OVERLAP, False


def _cursor_move(cluster: Cluster, cursor: Cursor | None, began_at: datetime, *, is_sweep: bool, look: Look) -> None:
    # What slurmctld has not told slurmdbd yet may lie anywhere before now: the window stays open until it has.
    complete = look.status.dbd_queue == 0
    read_until = began_at if complete or cursor is None else cursor.read_until
    if cursor is None and not complete:
        return
    facts = {"read_until": read_until, "updated_at": now(), "clock_ahead_s": look.status.clock_ahead_s}
    Cursor.objects.update_or_create(cluster=cluster, defaults=facts | ({"swept_at": began_at} if is_sweep else {}))


def _unsettled_ids(cluster: Cluster, look: Look) -> list[int]:
    """Numbers of runs without a final record that are not in the queue any more."""
    queued = {(line.job_id, line.submit_at) for line in look.queue if line.state != "COMPLETING"}
    runs = Run.objects.filter(cluster=cluster, ended_at=None, job_id_raw__isnull=False, submit_at__isnull=False)
    records = Record.objects.filter(cluster=cluster, is_final=False, imported=False)
    keys = set(runs.values_list("job_id_raw", "submit_at")) | set(records.values_list("job_id_raw", "submit_at"))
    # Tasks that never got a number of their own are found by their array's.
    unseen = Run.objects.filter(cluster=cluster, ended_at=None, job_id_raw=None, array_task__isnull=False)
    keys |= set(unseen.values_list("job__slurm_job_id", "job__slurm_submit_at").distinct())
    return sorted({job_id for job_id, _submit_at in keys - queued if job_id is not None})[:IDS_LIMIT]


def _found_ids(cluster: Cluster, cursor: Cursor | None) -> list[int]:
    """Numbers that a reconciliation since the last reading found uncharged or changed."""
    last = Reconciliation.objects.filter(cluster=cluster).only("taken_at", "unsettled_ids").first()
    return last.unsettled_ids if last is not None and cursor is not None and last.taken_at >= cursor.updated_at else []


def _noting(records: Iterator[AccountingRecord], found: set[Key]) -> Iterator[AccountingRecord]:
    for record in records:
        found.add((record.job_id_raw, record.submit_at))
        yield record


def _gone_close(cluster: Cluster, look: Look, found: set[Key]) -> None:
    """Ends pending jobs from outside that neither squeue nor slurmdbd knows any more, after a margin.

    slurmctld may lose a job that it accepted, when it is killed within seconds, and gives its number to the next. Such
    a job never started and has no hold; a portal job in the same place is the jobs app's.
    """
    known = found | {(line.job_id, line.submit_at) for line in look.queue}
    open_runs = Run.objects.filter(
        cluster=cluster, ended_at=None, started_at=None, job__origin=Job.Origin.OUTSIDE, job_id_raw__isnull=False
    ).select_related("job")
    gone = [run for run in open_runs if (run.job_id_raw, run.submit_at) not in known]
    fresh = {run.job_id for run in gone if run.job.denied_since is None}
    Job.objects.filter(pk__in=fresh).update(denied_since=look.status.answered_at)
    if look.status.dbd_queue:
        return
    ended = [
        run for run in gone if run.job.denied_since and look.status.answered_at - run.job.denied_since > GONE_AFTER
    ]
    Run.objects.filter(pk__in=[run.pk for run in ended]).update(
        state=job_state("CANCELLED"), ended_at=look.status.answered_at, hold_resolved=True
    )
    jobs_close({run.job_id for run in ended})


def _tasks_gone_end(cluster: Cluster, look: Look) -> None:
    """Ends tasks that were cancelled before they had a number, by whatever hand: slurmdbd has no record of them.

    They are the tasks without a number of an array that squeue no longer shows, a margin after the last of the others
    ended. Everything that slurmdbd has of such arrays was read and settled just before.
    """
    if look.status.dbd_queue:
        return
    queued = {line.array_job_id or line.job_id for line in look.queue}
    unseen = Run.objects.filter(cluster=cluster, job_id_raw=None, ended_at=None, array_task__isnull=False)
    jobs = Job.objects.filter(pk__in=unseen.values("job"), slurm_job_id__isnull=False).exclude(slurm_job_id__in=queued)
    for job in jobs.annotate(last_end=Max("runs__ended_at")):
        if job.last_end is None or look.status.answered_at - job.last_end < GONE_AFTER:
            continue
        with transaction.atomic():
            runs_void(
                job.runs.filter(job_id_raw=None),
                reason=f"tasks of job {job.pk} never started",
                actor=f"worker:cluster.{cluster.name}",
            )
            jobs_close({job.pk})
