"""Which `Run` a line of squeue or a record of sacct is, and rows for what was submitted outside the portal.

A run is found by its key. A key seen for the first time is, in this order: the next run of a requeued job (same number
and user, later submit time), a task of a known array, a run of a portal's job before the one that it was bound by, a
job of the portal that is still being looked for (left alone: the jobs app binds it, by more than its comment), what an
attempt left that slurmctld forgot (nothing), or a job that was submitted outside the portal.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, TextField, Value, When

from portal.clock import now
from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.jobs.states import PORTAL_REASON, WHY_ENDED
from scheduler.settlement.charges import REQUEUE_STATES, job_state
from scheduler.settlement.models import Record
from scheduler.settlement.seen import Key, Ours, Seen
from scheduler.settlement.services.arrays import UnseenTasks, task_run, unseen_tasks

SEARCHED_STATES = (Job.State.SUBMITTING, Job.State.UNKNOWN)
_WORST_FIRST = (Job.State.NODE_FAIL, Job.State.FAILED, Job.State.TIMEOUT, Job.State.CANCELLED, Job.State.COMPLETED)
REQUEUED_WITHIN = timedelta(hours=1)  # a run's end and the submit time of the next; the same second, where all is well
_REASON_LEFT = Case(
    When(reason__regex=rf"^{PORTAL_REASON}({'|'.join(WHY_ENDED)})( |$)", then=F("reason")),
    default=Value(""),
    output_field=TextField(),
)
_TIME_LIMIT_UNKNOWN_S = 1  # a record says no limit; the column wants one


@dataclass
class _Known:
    """What the database has around a list of keys, read in a handful of queries."""

    runs: dict[Key, Run] = field(default_factory=dict)
    unbound: dict[int, Run] = field(default_factory=dict)  # by JobIDRaw: a next run whose submit time is not known yet
    earlier: dict[int, list[Run]] = field(default_factory=dict)  # by JobIDRaw
    jobs: dict[int, list[Job]] = field(default_factory=dict)  # by the number that Slurm gave the job or array
    commented: dict[UUID, Job] = field(default_factory=dict)  # the portal's jobs that comments name
    requeued: dict[int, list[datetime]] = field(default_factory=dict)  # by JobIDRaw: ends of runs before a requeue
    people: dict[str, User] = field(default_factory=dict)
    unseen: UnseenTasks = field(default_factory=dict)
    new_jobs: list[Job] = field(default_factory=list)  # written together, at the end
    new_runs: list[Run] = field(default_factory=list)


def runs_ensure(*, cluster: Cluster, seen: Sequence[Seen], ours: Ours) -> dict[Key, Run]:
    """The run of everything seen, made where it is missing. A job that is still being looked for is left out."""
    with transaction.atomic():
        known = _known_read(cluster, seen)
        for one in sorted(seen, key=lambda one: (one.submit_at, one.job_id)):
            if one.key in known.runs:
                continue
            run = _next_run(one, known, cluster) or _array_task(one, known, cluster)
            run = run or _earlier_run(one, known, cluster)
            if run is None and not (_is_searched(one, known) or _is_waiting_rest(one, known) or _is_left(one, known)):
                run = _outside(one, known, cluster, ours)
            if run is not None:
                known.runs[one.key] = run
                known.earlier.setdefault(one.job_id, []).append(run)
        Job.objects.bulk_create(known.new_jobs, batch_size=500)
        Run.objects.bulk_create(known.new_runs, batch_size=500)
    return {one.key: known.runs[one.key] for one in seen if one.key in known.runs}


def _known_read(cluster: Cluster, seen: Sequence[Seen]) -> _Known:
    ids = {one.job_id for one in seen}
    numbers = ids | {one.array_job_id for one in seen if one.array_job_id}
    known = _Known()
    for run in Run.objects.filter(cluster=cluster, job_id_raw__in=ids).select_related("job").order_by("pk"):
        assert run.job_id_raw is not None
        if run.submit_at is None:
            known.unbound[run.job_id_raw] = run
        else:
            known.runs[run.job_id_raw, run.submit_at] = run
            known.earlier.setdefault(run.job_id_raw, []).append(run)
    if all(one.key in known.runs for one in seen):
        return known
    for job in Job.objects.filter(cluster=cluster, slurm_job_id__in=numbers).order_by("slurm_submit_at"):
        assert job.slurm_job_id is not None
        known.jobs.setdefault(job.slurm_job_id, []).append(job)
    known.unseen = unseen_tasks(job for jobs in known.jobs.values() for job in jobs)
    comments = {comment for one in seen if (comment := _uuid(one.comment))}
    known.commented = {job.pk: job for job in Job.objects.filter(cluster=cluster, pk__in=comments).defer("script")}
    before = Record.objects.filter(
        cluster=cluster, job_id_raw__in=ids, state__in=REQUEUE_STATES, ended_at__isnull=False
    )
    ends = [*before.values_list("job_id_raw", "ended_at")]
    ends += [(one.job_id, one.ended_at) for one in seen if one.state in REQUEUE_STATES]
    for job_id, ended_at in ends:
        if ended_at is not None:
            known.requeued.setdefault(job_id, []).append(ended_at)
    people = User.objects.filter(unix_account__in={one.user for one in seen})
    known.people = {person.unix_account: person for person in people if person.unix_account}
    return known


def _next_run(one: Seen, known: _Known, cluster: Cluster) -> Run | None:
    """The run after a requeue: Slurm gives it a new submit time and keeps the number."""
    unbound = known.unbound.get(one.job_id)
    if unbound is not None and unbound.job.unix_account == one.user:
        Run.objects.filter(pk=unbound.pk).update(submit_at=one.submit_at)
        unbound.submit_at = one.submit_at
        del known.unbound[one.job_id]
        return unbound
    job = _commented(one, known)
    is_its_own = job is not None and job.slurm_job_id == (one.array_job_id or one.job_id)
    if not is_its_own and not _is_requeued(one, known):
        return None  # a number that Slurm gave away again: numbers wrap, and a killed slurmctld may lose a job
    before = [
        run
        for run in known.earlier.get(one.job_id, [])
        if run.submit_at and run.submit_at < one.submit_at and run.job.unix_account == one.user
    ]
    return _run_new(one, before[-1].job, known, cluster) if before else None


def _is_requeued(one: Seen, known: _Known) -> bool:
    """squeue counts restarts; of a record its submit time tells, which is the end of the run before the requeue."""
    ends = known.requeued.get(one.job_id, [])
    return bool(one.restarts) or any(abs(one.submit_at - end) <= REQUEUED_WITHIN for end in ends)


def _array_task(one: Seen, known: _Known, cluster: Cluster) -> Run | None:
    """A task of a known array, or the first sight of a job whose row is there already."""
    for job in reversed(known.jobs.get(one.array_job_id or one.job_id, [])):
        assert job.slurm_submit_at is not None
        same = job.slurm_submit_at == one.submit_at
        if same and job.is_array and job.unix_account == one.user:
            task = task_run(one, job, known.unseen)
            if task is not None:
                return _run_bind(task, one)
            return None if one.array_rest else _run_new(one, job, known, cluster)
        later = bool(one.array_job_id) and job.slurm_submit_at < one.submit_at and _is_requeued(one, known)
        if job.unix_account == one.user and (same or later):
            first = None if job._state.adding else Run.objects.filter(job=job, job_id_raw=None).first()
            return _run_bind(first, one) if first and same else _run_new(one, job, known, cluster)
    return None


def _run_bind(run: Run, one: Seen) -> Run:
    """A run that was made with its hold at the submission, before Slurm gave the job its number."""
    run.job_id_raw, run.submit_at = one.job_id, one.submit_at
    run.save(update_fields=["job_id_raw", "submit_at"])
    return run


def _is_waiting_rest(one: Seen, known: _Known) -> bool:
    """The tasks that still wait, of an array of the portal: none of them has a number of its own yet."""
    jobs = known.jobs.get(one.array_job_id or 0, [])
    return bool(one.array_rest) and any(job.is_array and job.unix_account == one.user for job in jobs)


def _commented(one: Seen, known: _Known) -> Job | None:
    """The job that the comment names; only one of the user's own counts."""
    comment = _uuid(one.comment)
    job = known.commented.get(comment) if comment else None
    return job if job is not None and job.unix_account == one.user else None


def _earlier_run(one: Seen, known: _Known, cluster: Cluster) -> Run | None:
    """A run before the one that its job was bound by: Slurm had put it back into the queue before anybody looked."""
    job = _commented(one, known)
    if job is None or job.slurm_job_id != (one.array_job_id or one.job_id) or one.started_at is None:
        return None
    assert job.slurm_submit_at is not None
    is_earlier = one.ended_at is not None and one.submit_at < job.slurm_submit_at
    return _run_new(one, job, known, cluster) if is_earlier else None


def _is_searched(one: Seen, known: _Known) -> bool:
    """Whether the jobs app is looking for this very job."""
    job = _commented(one, known)
    return job is not None and job.slurm_job_id is None and job.state in SEARCHED_STATES


def _is_left(one: Seen, known: _Known) -> bool:
    """A record that an attempt left, without a start or without an end: slurmctld forgot what it had accepted, and the
    job was submitted again. Once slurmdbd knows both, it is charged.

    Of a number that a job of the portal has, a record without an end may lack its comment still, and the record before
    it the end that tells of a requeue: as long as it runs, squeue says whose it is, and then its end does.
    """
    if not one.is_record or (one.started_at is not None and one.ended_at is not None):
        return False
    if one.started_at is None and one.state == "COMPLETED":
        return True  # without a start only a record is that an operator closed; it has no comment yet
    jobs = known.jobs.get(one.array_job_id or one.job_id, [])
    numbered = any(job.origin == Job.Origin.PORTAL and job.unix_account == one.user for job in jobs)
    return (one.ended_at is None and numbered) or _commented(one, known) is not None


def _outside(one: Seen, known: _Known, cluster: Cluster, ours: Ours) -> Run | None:
    allocation = ours.allocation(account=one.account, qos=one.qos, gpu_type=one.gpu_type)
    if allocation is None:
        return None  # it can be shown nowhere; the reconciliation lists it as charged to nobody
    nodes = max(one.nodes, 1)
    job = Job(
        origin=Job.Origin.OUTSIDE,
        cluster=cluster,
        project_id=allocation.project_id,
        allocation=allocation,
        person=known.people.get(one.user),
        unix_account=one.user[:32],
        name=_printable(one.name)[:64] or str(one.job_id),
        partition=one.partition[:64],
        gpu_type=one.gpu_type or allocation.gpu_type,
        nodes=nodes,
        gpus_per_node=-(-one.gpus // nodes),
        time_limit_s=one.time_limit_s or _TIME_LIMIT_UNKNOWN_S,
        state=job_state(one.state),
        slurm_job_id=one.array_job_id or one.job_id,
        slurm_submit_at=one.submit_at,
        created_at=one.submit_at,
        updated_at=now(),
    )
    known.jobs.setdefault(job.slurm_job_id or 0, []).append(job)
    known.new_jobs.append(job)
    return _run_new(one, job, known, cluster)


def _run_new(one: Seen, job: Job, known: _Known, cluster: Cluster) -> Run:
    run = Run(
        job=job,
        cluster=cluster,
        job_id_raw=one.job_id,
        array_task=one.array_task,
        submit_at=one.submit_at,
        state=job_state(one.state),
        started_at=one.started_at,
        gpus=one.gpus,
        created_at=now(),
    )
    known.new_runs.append(run)
    return run


def run_open(job: Job, *, hold: UUID | None, held_gpu_seconds: int, job_id_raw: int, array_task: int | None) -> Run:
    """The run that follows a requeue, before Slurm has shown its submit time."""
    return Run.objects.create(
        job=job,
        cluster_id=job.cluster_id,
        job_id_raw=job_id_raw,
        array_task=array_task,
        state=Job.State.PENDING,
        gpus=job.gpus,
        hold=hold,
        held_gpu_seconds=held_gpu_seconds,
        hold_resolved=False,
        created_at=now(),
    )


def states_follow(*, cluster: Cluster, seen: Iterable[Seen], runs: dict[Key, Run]) -> None:
    """Brings runs and outside jobs to what squeue shows. (The jobs app follows the portal's own jobs.)"""
    changed: list[Run] = []
    jobs: dict[UUID, Seen] = {}
    for one in seen:
        run = runs.get(one.key)
        if run is None or run.ended_at is not None:
            continue  # squeue shows a job for a while after its end
        state = job_state(one.state)
        if (run.state, run.started_at, run.gpus) != (state, one.started_at, one.gpus):
            run.state, run.started_at, run.gpus = state, one.started_at, one.gpus
            changed.append(run)
        if run.job.origin == Job.Origin.OUTSIDE and (run.job_id not in jobs or state == Job.State.RUNNING):
            jobs[run.job_id] = one
    Run.objects.bulk_update(changed, ["state", "started_at", "gpus"], batch_size=500)
    for job_id, one in jobs.items():
        facts: dict[str, str | int] = {"state": job_state(one.state), "partition": one.partition[:64]}
        if one.time_limit_s:
            facts["time_limit_s"] = one.time_limit_s
        Job.objects.filter(pk=job_id).exclude(**facts, denied_since=None).update(
            **facts, denied_since=None, updated_at=now()
        )


def runs_end(ended: Iterable[tuple[Run, Record]]) -> None:
    """Gives runs the end that their records tell, in one statement."""
    runs = []
    for run, record in ended:
        run.state = job_state(record.state)
        run.started_at, run.ended_at, run.gpus = record.started_at, record.ended_at, record.gpus
        run.charged_gpu_seconds = record.charged_gpu_seconds
        run.overrun_gpu_seconds = record.overrun_gpu_seconds
        run.hold_resolved = True
        runs.append(run)
    fields = [
        "state", "started_at", "ended_at", "gpus", "charged_gpu_seconds", "overrun_gpu_seconds", "hold_resolved",
    ]  # fmt: skip
    Run.objects.bulk_create(runs, batch_size=500, update_conflicts=True, unique_fields=["id"], update_fields=fields)


def jobs_close(job_ids: set[UUID], *, requeued: Collection[int] = ()) -> None:
    """Gives jobs the state of their runs once all of these ended: of an array's tasks, the one that most needs a look.
    Why a job waited, or was in doubt, is not shown any more.

    Of a task that was requeued the last run counts. `requeued` are runs by number that went back into the queue: where
    one is the last, the next was not seen yet.
    """
    last: dict[UUID, dict[int, Run]] = {}
    for run in Run.objects.filter(job__in=job_ids).order_by("submit_at", "pk"):
        # A task that never got a number of its own stands for itself.
        task = run.job_id_raw if run.job_id_raw is not None else -1 - (run.array_task or 0)
        last.setdefault(run.job_id, {})[task] = run
    shown: dict[str, list[UUID]] = {}
    for job_id, tasks in last.items():
        states = {run.state for run in tasks.values()}
        again = any(run.pk in requeued for run in tasks.values()) and states == {Job.State.CANCELLED}
        if not again and all(run.ended_at for run in tasks.values()):
            shown.setdefault(next(state for state in _WORST_FIRST if state in states), []).append(job_id)
    for state, ended in shown.items():
        Job.objects.filter(pk__in=ended).exclude(state=state).update(state=state, reason=_REASON_LEFT, updated_at=now())


def allocation_move(job: Job, allocation: Allocation) -> None:
    """A job that its owner moved to another allocation (QOS) counts there: project and allocation follow the run."""
    Job.objects.filter(pk=job.pk).update(
        allocation=allocation, project=allocation.project_id, gpu_type=allocation.gpu_type, updated_at=now()
    )
    job.allocation, job.project_id, job.gpu_type = allocation, allocation.project_id, allocation.gpu_type


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
