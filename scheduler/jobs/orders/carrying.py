"""The cluster worker's part of an order: carried out as the person, read back, and written down as what came of it.

A worker may be killed anywhere in here and the same order delivered again. So every step looks first: what Slurm shows
decides what is left to do, never what was done before. A requeue is for one run, known by its submit time, and is not
done to the run after it.
"""

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from django.db import transaction

from portal.clock import now
from portal.outbox.errors import Later
from scheduler.clusters import faults
from scheduler.clusters.adapters.protocol import ClusterAdapter, QueueJob, VerbRefused
from scheduler.jobs.arrays import tasks_shown
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.orders.extending import extend
from scheduler.jobs.orders.freeing import free
from scheduler.jobs.orders.state import LOOK_AGAIN_S, RUNS, line_of_run, lines_now, order_end, order_refused
from scheduler.jobs.services import runs_void
from scheduler.jobs.states import HELD_BY_OWNER, HELD_REASONS, portal_reason
from scheduler.jobs.worker.submission import reason_shown


def carry_out(*, order_id: UUID, adapter: ClusterAdapter) -> None:
    """Does what an order asks for, once, however often it is delivered. Raises ClusterError or Later: come again."""
    order = Order.objects.select_related("job__cluster", "job__allocation__project", "run").get(pk=order_id)
    if order.state != Order.State.ASKED:
        return
    faults.reach("order_before")
    _CARRY_OUT[order.verb](order, adapter)
    faults.reach("order_after")


# --- hold and release ---------------------------------------------------------------------------------------------


def _hold(order: Order, adapter: ClusterAdapter) -> None:
    _until(order, adapter, verb="hold", reached=lambda line: line.reason in HELD_REASONS)


def _release(order: Order, adapter: ClusterAdapter) -> None:
    _until(order, adapter, verb="release", reached=lambda line: line.reason != HELD_BY_OWNER)


def _until(order: Order, adapter: ClusterAdapter, *, verb: str, reached: Callable[[QueueJob], bool]) -> None:
    line = _waiting(order, adapter)
    if line is None:
        return
    if not reached(line):
        try:
            _act(order, adapter, verb)
        except VerbRefused as refusal:
            line = _waiting(order, adapter)  # it may have started, or ended, in this moment
            if line is not None and not reached(line):
                order_refused(order, refusal)
            elif line is not None:
                _reached(order, line)
            return
        line = _waiting(order, adapter)
        if line is None:
            return
        if not reached(line):
            raise Later(LOOK_AGAIN_S, f"{verb}: Slurm still shows {line.reason}")
    _reached(order, line)


def _waiting(order: Order, adapter: ClusterAdapter) -> QueueJob | None:
    """The line that still waits. None: there is none any more, and the order says so."""
    lines = lines_now(order, adapter)
    waiting = next((line for line in lines if line.state == "PENDING"), None)
    if waiting is None:
        started = [line for line in lines if line.state in RUNS]
        if any(line.reason == HELD_BY_OWNER for line in started):
            # Slurm takes a hold of a running job without a word, and keeps it for after its next requeue.
            with suppress(VerbRefused):
                _act(order, adapter, "release")
        order_end(order, reason=portal_reason("verb_started" if started else "verb_ended"))
    return waiting


def _reached(order: Order, line: QueueJob) -> None:
    faults.reach("order_before_commit")
    if order_end(order):
        # The page shows it now, and not with the next cycle.
        Job.objects.filter(pk=order.job_id, state=Job.State.PENDING).update(reason=reason_shown(line), updated_at=now())


def _act(order: Order, adapter: ClusterAdapter, verb: str) -> None:
    job = order.job
    assert job.slurm_job_id is not None
    adapter.control(verb=verb, job_id=job.slurm_job_id, unix_account=job.unix_account)  # type: ignore[arg-type]
    faults.reach("order_after_slurm")


# --- requeue ------------------------------------------------------------------------------------------------------


def _requeue(order: Order, adapter: ClusterAdapter) -> None:
    line = line_of_run(order, adapter)
    if line is not None and line.state in RUNS:
        try:
            _act(order, adapter, "requeue")
        except VerbRefused as refusal:
            line = line_of_run(order, adapter)
            if line is not None and line.state in RUNS:
                order_refused(order, refusal)
                return
        line = line_of_run(order, adapter)
    if line is None:
        _requeue_seen(order, adapter)
    elif line.state == "PENDING" or line.state.startswith("REQUEUE"):
        _requeue_done(order)
    elif line.state in RUNS or line.state == "COMPLETING":
        # It ends, by us or by itself: in a moment it has another submit time, or has ended.
        raise Later(LOOK_AGAIN_S, f"requeue: Slurm shows {line.state}")
    else:
        order_end(order, reason=portal_reason("verb_ended"))


def _requeue_seen(order: Order, adapter: ClusterAdapter) -> None:
    """The run is gone from the queue: the next one is there, or the job has ended."""
    assert order.run is not None
    submit_at = order.run.submit_at
    assert submit_at is not None
    if any(line.submit_at > submit_at for line in lines_now(order, adapter)):
        _requeue_done(order)
    elif not Job.objects.filter(pk=order.job_id, state__in=Job.OPEN_STATES).exists():
        order_end(order, reason=portal_reason("verb_ended"))
    else:
        raise Later(LOOK_AGAIN_S, "requeue: Slurm shows neither this run nor the next")


def _requeue_done(order: Order) -> None:
    faults.reach("order_before_commit")
    order_end(order)


# --- one task of an array -----------------------------------------------------------------------------------------


def _cancel_task(order: Order, adapter: ClusterAdapter) -> None:
    job, task = order.job, order.task
    assert job.slurm_job_id is not None
    assert task is not None
    if _is_there(order, adapter):
        adapter.cancel(job_id=job.slurm_job_id, unix_account=job.unix_account, task=task)
        faults.reach("order_after_slurm")
        if _is_there(order, adapter):
            raise Later(LOOK_AGAIN_S, "Slurm still shows the task")
    never_started = not _has_record(order, adapter)
    faults.reach("order_before_commit")
    with transaction.atomic():
        run = None
        if never_started:
            rows = Run.objects.select_for_update(no_key=True)
            run = rows.filter(job=job, array_task=task, job_id_raw=None, ended_at=None).first()
        if order_end(order) and run is not None:
            runs_void(
                Run.objects.filter(pk=run.pk), reason=f"task {task} of job {job.pk} cancelled", actor=order.person
            )


def _has_record(order: Order, adapter: ClusterAdapter) -> bool:
    """Whether settlement will hear of the task. Slurm writes none for one that is cancelled before it had a number."""
    if any(line.array_tasks == str(order.task) for line in lines_now(order, adapter)):
        return True
    assert order.job.slurm_job_id is not None
    records = adapter.records(job_ids=[order.job.slurm_job_id])
    return any(record.job_id == f"{order.job.slurm_job_id}_{order.task}" for record in records)


def _is_there(order: Order, adapter: ClusterAdapter) -> bool:
    open_lines = (line for line in lines_now(order, adapter) if line.state in ("PENDING", *RUNS))
    return any(order.task in tasks_shown(line.array_tasks) for line in open_lines)


_CARRY_OUT: dict[str, Callable[[Order, ClusterAdapter], None]] = {
    Order.Verb.HOLD: _hold,
    Order.Verb.RELEASE: _release,
    Order.Verb.REQUEUE: _requeue,
    Order.Verb.EXTEND: extend,
    Order.Verb.FREE: free,
    Order.Verb.CANCEL_TASK: _cancel_task,
}
