"""Each cycle: every job of the portal that is on its way or in Slurm, against what Slurm shows.

Bound jobs follow squeue; jobs in doubt, and bound ones that squeue no longer shows, are looked for. One job that breaks
something is logged and does not stop the others.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Prefetch

from portal.clock import now
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.adapters.protocol import (
    AccountingRecord,
    ClusterAdapter,
    ClusterError,
    ControllerStatus,
    QueueJob,
)
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.states import OF_QUEUE, PORTAL_REASON, portal_reason, slurm_reason
from scheduler.jobs.worker.covering import hold_follow, run_of
from scheduler.jobs.worker.dependencies import never_end
from scheduler.jobs.worker.ending import waiting_end
from scheduler.jobs.worker.lookup import (
    ATTEMPT_LASTS_S,
    Answer,
    Finding,
    Search,
    Trace,
    Verdict,
    decide,
    first_fit,
    trace_of,
)
from scheduler.jobs.worker.slurm_holds import slurm_holds_note
from scheduler.jobs.worker.submission import (
    job_bind,
    job_end_unsubmitted,
    job_requeue,
    number_of,
    reason_shown,
    wanted,
)
from scheduler.jobs.worker.unix_accounts import unix_accounts_look

logger = logging.getLogger(__name__)

FOLLOWED = (Job.State.SUBMITTING, Job.State.UNKNOWN, Job.State.PENDING, Job.State.RUNNING, Job.State.SUSPENDED)
SEEN_LATER_S = 5  # a job bound this short before the queue was read may be missing from it
_FIRST = (Job.State.RUNNING, Job.State.SUSPENDED, Job.State.PENDING)
CANCEL_AGAIN_AFTER_S = 60  # a cancellation that slurmctld acknowledged and lost is asked for again


class Sight:
    """The queue as read, and the cluster's answers around it."""

    def __init__(self, cluster: Cluster, queue: Sequence[QueueJob], status: ControllerStatus, adapter: ClusterAdapter):
        self.cluster = cluster
        self.status = status
        self.adapter = adapter
        # What was asked of these was done, or is being done, while the queue was read: the next look shows it.
        orders = Order.objects.filter(job__cluster=cluster)
        self.changed = set(orders.filter(ended_at__gte=status.answered_at).values_list("job", flat=True))
        extended = orders.filter(state=Order.State.ASKED, verb=Order.Verb.EXTEND)
        self.being_extended = set(extended.values_list("job", flat=True))
        self.by_id: dict[int, list[QueueJob]] = {}
        self.by_comment: dict[str, list[QueueJob]] = {}
        for line in queue:
            for number in {line.job_id, line.array_job_id or line.job_id}:
                self.by_id.setdefault(number, []).append(line)
            self.by_comment.setdefault(line.comment, []).append(line)

    def lines_of(self, job: Job) -> list[QueueJob]:
        """The bound job's line: same number and submit time as bound, or a later run of it after a requeue. Of an
        array one for each task that started, and one for all that wait."""
        known = {run.submit_at for run in job.runs.all() if run.submit_at} | {job.slurm_submit_at}
        return [line for line in self.by_id.get(job.slurm_job_id or 0, []) if _is_of(job, line, known)]


def _is_of(job: Job, line: QueueJob, known: set[datetime | None]) -> bool:
    if line.user != job.unix_account:
        return False
    assert job.slurm_submit_at is not None
    # Another job may carry the number: slurmctld gives it away again when it lost the first. A restart count and a
    # later submit time are a requeue's.
    return line.submit_at in known or bool(line.restarts and line.submit_at > job.slurm_submit_at)


def jobs_cycle(
    cluster_name: str,
    queue: Sequence[QueueJob],
    status: ControllerStatus,
    *,
    adapter: ClusterAdapter | None = None,
) -> None:
    """Brings the portal's jobs on a cluster to what its Slurm shows. `status` was read before or with `queue`.

    Raises DatabaseError; a ClusterError in a look-up leaves what is looked for as it is.
    """
    adapter = adapter or adapter_for(cluster_name)
    cluster = Cluster.objects.get(name=cluster_name)
    sight = Sight(cluster, queue, status, adapter)
    missing: list[Job] = []
    for job in _jobs(cluster):
        _guarded(job, lambda job: _see(job, sight, missing))
    if missing:
        _look(missing, sight)
    slurm_holds_note(cluster, queue)
    waiting_end(cluster, queue, adapter)
    unix_accounts_look(cluster=cluster, adapter=adapter)


def cluster_away(cluster_name: str) -> None:
    """slurmctld did not answer: what was denied before is not denied in a row any more, and attempts go unanswered.

    Called by whoever runs the cycle, instead of `jobs_cycle`.
    """
    moment = now()
    jobs = Job.objects.filter(cluster__name=cluster_name)
    jobs.filter(denied_since__isnull=False).update(denied_since=None)
    jobs.filter(state=Job.State.SUBMITTING, last_attempt_at__lt=moment - timedelta(seconds=ATTEMPT_LASTS_S)).update(
        state=Job.State.UNKNOWN, reason=portal_reason("no_answer"), updated_at=moment
    )


def _jobs(cluster: Cluster) -> list[Job]:
    runs = Prefetch("runs", queryset=Run.objects.order_by("id"))
    jobs = Job.objects.filter(cluster=cluster, origin=Job.Origin.PORTAL, state__in=FOLLOWED)
    jobs = jobs.select_related("allocation__project", "cluster", "person").defer("script").prefetch_related(runs)
    return list(jobs.order_by("created_at"))


def _guarded(job: Job, action: Callable[[Job], None]) -> None:
    try:
        action(job)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("jobs: job %s could not be followed", job.pk)


def _see(job: Job, sight: Sight, missing: list[Job]) -> None:
    if job.slurm_job_id is None:
        found = first_fit(wanted(job), sight.by_comment.get(str(job.pk), []))
        if found is not None:
            job_bind(job, found)
        else:
            missing.append(job)
        return
    lines = sight.lines_of(job)
    shown = [line for line in lines if line.state in OF_QUEUE]
    if shown and job.pk in sight.changed:
        return
    if shown:
        _follow(job, shown if job.is_array else shown[:1], sight)
    elif not lines and job.bound_at and job.bound_at < sight.status.answered_at - timedelta(seconds=SEEN_LATER_S):
        missing.append(job)


def _follow(job: Job, lines: list[QueueJob], sight: Sight) -> None:
    """An array is what most of it is on its way to: running while a task runs, pending while the rest waits."""
    line = min(lines, key=lambda line: _FIRST.index(OF_QUEUE[line.state]))
    state = OF_QUEUE[line.state]
    reason = job.reason if _reason_stays(job) else reason_shown(line)
    if (job.state, job.reason, job.denied_since) != (state, reason, None):
        moment = now()
        Job.objects.filter(pk=job.pk, slurm_job_id=job.slurm_job_id, state__in=FOLLOWED).update(
            state=state, reason=reason, denied_since=None, looked_at=None, updated_at=moment
        )
        job.state, job.reason = state, reason
    if job.cancel_requested_at is not None:
        late = now() - job.cancel_requested_at > timedelta(seconds=CANCEL_AGAIN_AFTER_S)
        if late and any(line.state != "COMPLETING" for line in lines):
            sight.adapter.job_cancel_as_admin(job_id=str(job.slurm_job_id), reason="cancelled in the portal")
    elif not any(never_end(job, line, sight.adapter) for line in lines):
        for line in lines:
            if job.pk not in sight.being_extended:
                hold_follow(job, line, adapter=sight.adapter)
            _run_follow(job, line, OF_QUEUE[line.state])


def _reason_stays(job: Job) -> bool:
    """A reason of ours (why the centre cancels the job) stays while Slurm carries it out."""
    return job.reason.startswith(PORTAL_REASON) and job.cancel_requested_at is not None


def _run_follow(job: Job, line: QueueJob, state: str) -> None:
    """After its hold was looked at: a run that has a start was covered when it started."""
    started_at = None if state == Job.State.PENDING else line.start_at
    run = run_of(job, line)
    if run is not None and (run.state, run.started_at) != (state, started_at):
        Run.objects.filter(pk=run.pk, ended_at__isnull=True).update(state=state, started_at=started_at)


def _look(jobs: list[Job], sight: Sight) -> None:
    """Asks slurmdbd about the jobs that squeue did not show, once for all of them, and draws the conclusions."""
    try:
        records = _records(jobs, sight.adapter)
    except ClusterError as error:
        logger.warning("jobs: %s: slurmdbd did not answer the look-up: %s", sight.cluster.name, error)
        cluster_away(sight.cluster.name)
        return
    for job in jobs:
        _guarded(job, lambda job: _conclude(job, records, sight))


def _records(jobs: list[Job], adapter: ClusterAdapter) -> list[AccountingRecord]:
    numbers = [job.slurm_job_id for job in jobs if job.slurm_job_id is not None]
    found = list(adapter.records(job_ids=numbers)) if numbers else []
    attempts = [job.attempted_at for job in jobs if job.slurm_job_id is None and job.attempted_at is not None]
    if attempts:
        found += adapter.records(since=min(attempts) - timedelta(minutes=1))
    return found


def _conclude(job: Job, records: list[AccountingRecord], sight: Sight) -> None:
    if job.slurm_job_id is None:
        looked_for = wanted(job)
        own = [record for record in records if looked_for.fits(record)]
    else:
        keys = {(run.job_id_raw, run.submit_at) for run in job.runs.all() if run.job_id_raw}
        keys.add((job.slurm_job_id, job.slurm_submit_at))
        own = [
            record
            for record in records
            if (record.job_id_raw, record.submit_at) in keys
            # A task whose run is not bound yet: an array's tasks have its submit time until one is requeued.
            or (job.is_array and (number_of(record), record.submit_at) == (job.slurm_job_id, job.slurm_submit_at))
        ]
    answer = Answer(
        at=sight.status.answered_at,
        booted_at=sight.status.booted_at,
        dbd_queue=sight.status.dbd_queue,
        trace=trace_of(own),
    )
    finding = decide(_search(job), answer, message_timeout_s=sight.status.message_timeout_s)
    if answer.trace is Trace.STARTED:
        _present(job, own)
    else:
        _apply(job, finding, answer)


def _search(job: Job) -> Search:
    assert job.attempted_at is not None
    assert job.last_attempt_at is not None
    return Search(
        first_attempt_at=job.attempted_at,
        last_attempt_at=job.last_attempt_at,
        bound=job.slurm_job_id is not None,
        started=any(run.started_at for run in job.runs.all()) or job.state == Job.State.RUNNING,
        cancel_requested=job.cancel_requested_at is not None,
        denied_since=job.denied_since,
        looked_at=job.looked_at,
    )


def _present(job: Job, own: list[AccountingRecord]) -> None:
    """slurmdbd knows that it ran. Settlement tells its end; here only an unbound job is bound."""
    if job.slurm_job_id is None:
        job_bind(job, min(own, key=lambda record: record.submit_at))
        return
    last = max(own, key=lambda record: record.submit_at)
    if not last.is_final and job.state != Job.State.UNKNOWN:
        # It runs for slurmdbd and not for slurmctld: a moment at its end, or for ever after a crash (a "runaway job").
        reason = job.reason if _reason_stays(job) else portal_reason("runaway")
        Job.objects.filter(pk=job.pk, slurm_job_id=job.slurm_job_id, state=job.state).update(
            state=Job.State.UNKNOWN, reason=reason, updated_at=now()
        )


def _apply(job: Job, finding: Finding, answer: Answer) -> None:
    if finding.verdict is Verdict.WAIT:
        return
    # Also before the verdicts below: they act on a job in doubt only.
    _doubt(job, finding, answer)
    if finding.verdict is Verdict.RETRY:
        job_requeue(job, reason=portal_reason("denied"))
    elif finding.verdict is Verdict.GIVE_UP:
        job_end_unsubmitted(job, state=Job.State.REFUSED, reason=slurm_reason("denied", ""))
    elif finding.verdict is Verdict.CANCELLED:
        job_end_unsubmitted(job, state=Job.State.CANCELLED, reason="")
    elif finding.verdict is Verdict.LOST:
        job_end_unsubmitted(job, state=Job.State.FAILED, reason=portal_reason("lost"))


def _doubt(job: Job, finding: Finding, answer: Answer) -> None:
    """Shows the job as unknown and keeps since when it is denied."""
    changed: dict[str, object] = {"denied_since": finding.denied_since, "looked_at": answer.at}
    if job.state != Job.State.UNKNOWN and not _may_be_ending(job, answer):
        reason = portal_reason("missing" if job.slurm_job_id is not None else "looking")
        shown = job.reason if _reason_stays(job) else reason
        changed |= {"state": Job.State.UNKNOWN, "reason": shown, "updated_at": now()}
    Job.objects.filter(pk=job.pk, slurm_job_id=job.slurm_job_id, attempts=job.attempts, state=job.state).update(
        **changed
    )


def _may_be_ending(job: Job, answer: Answer) -> bool:
    """A bound job that squeue stopped showing has most likely ended; slurmdbd says so a moment later.

    Not after slurmctld was started again: a job may have gone with the state that it had not saved.
    """
    if job.slurm_job_id is None or job.bound_at is None or job.looked_at is not None:
        return False
    return answer.booted_at is None or answer.booted_at <= job.bound_at
