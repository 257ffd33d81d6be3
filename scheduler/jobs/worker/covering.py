"""The hold of a job that Slurm shows otherwise than it was submitted: taken anew, or the job is cancelled."""

import logging
from uuid import uuid4

from django.db import transaction

from portal.clock import now
from portal.people.models import User
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall, QuotaError
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import allocation_by_qos
from quotas.allocations.services import hold_take, hold_void
from scheduler.clusters.adapters.protocol import ClusterAdapter, QueueJob
from scheduler.clusters.names import account_name
from scheduler.clusters.slices import slices_read
from scheduler.jobs.models import Job, Run
from scheduler.jobs.states import portal_reason
from scheduler.jobs.worker.chains import chain_end, chain_is_over
from scheduler.jobs.worker.drift import Covered, Drift, drift_of

logger = logging.getLogger(__name__)


class NotCoverable(Exception):
    """What the job became cannot be held for; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def hold_follow(job: Job, line: QueueJob, *, adapter: ClusterAdapter) -> None:
    """Compares a job in Slurm with its hold. Holds anew what differs; cancels what cannot be held for."""
    run = run_of(job, line)
    if run is None:
        return  # a requeued run that settlement has not opened yet: the next cycle sees it
    drift = drift_of(_covered(job, run), line, overshoot_s=job.cluster.overshoot_s)
    if drift is None or _may_wait(drift, run, line):
        return
    if run.hold is None and chain_is_over(job, sum(1 for one in job.runs.all() if one.ended_at)):
        chain_end(job, adapter, code="chain_done")  # it was quicker than the cycle that ends it while it waits
        return
    try:
        with transaction.atomic():
            _hold_anew(job, run, line, drift)
    except (NotCoverable, BalanceTooSmall, AllocationNotOpen) as error:
        if _is_less(drift, run):
            return
        if _was_extended(drift, run, line):
            logger.error("job %s was given more time in Slurm than its allocation has: %s", job.pk, error)
            return
        _cancel(job, line, drift, error, adapter)


def run_of(job: Job, line: QueueJob) -> Run | None:
    """The open run that a line of squeue shows."""
    runs = [run for run in job.runs.all() if run.ended_at is None and run.submit_at == line.submit_at]
    # Of an array's waiting tasks none has a run of its own yet: each is looked at when it starts.
    return next((run for run in runs if not job.is_array or run.job_id_raw == line.job_id), None)


def _covered(job: Job, run: Run) -> Covered:
    has_hold = run.hold is not None and not run.hold_resolved
    return Covered(
        user=job.unix_account,
        account=account_name(job.cluster, job.allocation.project.slug),
        qos=job.qos,
        partition=job.partition,
        gpu_type=job.gpu_type,
        gpus=job.gpus,
        time_limit_s=job.time_limit_s,
        held_gpu_seconds=run.held_gpu_seconds if has_hold else 0,
        is_task=job.is_array,
    )


def _may_wait(drift: Drift, run: Run, line: QueueJob) -> bool:
    """A pending job without a hold is held in Slurm by settlement and takes its hold when the balance reaches again."""
    return line.state == "PENDING" and drift.fields == ("hold",) and (run.hold is None or run.hold_resolved)


def _is_less(drift: Drift, run: Run) -> bool:
    """Only less than what is held (its owner lowered the limit): the old hold, too large, is no harm."""
    return drift.same_payer and drift.needed_gpu_seconds <= run.held_gpu_seconds and not run.hold_resolved


def _was_extended(drift: Drift, run: Run, line: QueueJob) -> bool:
    """An administrator gave a running job more time. It was covered when it started; what exceeds that is charged."""
    covered_at_start = run.started_at is not None and run.hold is not None and not run.hold_resolved
    return line.state != "PENDING" and covered_at_start and drift.same_payer


def _hold_anew(job: Job, run: Run, line: QueueJob, drift: Drift) -> None:
    """Gives the old hold back and takes the new one, in the caller's transaction: both or neither."""
    allocation = _allocation(job, line, drift)
    moment, actor = now(), f"worker:cluster.{job.cluster.name}"
    if not Run.objects.select_for_update(no_key=True).filter(pk=run.pk, ended_at=None, hold=run.hold).exists():
        return  # it was settled meanwhile
    hold_swap(
        run,
        allocation_id=allocation.pk,
        amount_gpu_seconds=drift.needed_gpu_seconds,
        reason=f"job {job.pk} as changed in Slurm: {', '.join(drift.fields)}",
        actor=actor,
    )
    Run.objects.filter(pk=run.pk).update(gpus=drift.gpus)
    if job.is_array:
        return  # the row is about every task; what one of them became, its hold says
    nodes = line.nodes or job.nodes
    Job.objects.filter(pk=job.pk).update(
        allocation=allocation,
        project=allocation.project_id,
        partition=line.partition,
        gpu_type=_gpu_type(line, allocation),
        nodes=nodes,
        gpus_per_node=-(-drift.gpus // nodes),
        time_limit_s=drift.time_limit_s,
        updated_at=moment,
    )
    logger.info("job %s differs in Slurm (%s): held anew", job.pk, ", ".join(drift.fields))


def hold_swap(run: Run, *, allocation_id: int, amount_gpu_seconds: int, reason: str, actor: User | str) -> None:
    """Gives a run's open hold back and takes another, in the caller's transaction, which has the run's row locked.

    Raises BalanceTooSmall, AllocationNotOpen.
    """
    moment = now()
    if run.hold is not None and not run.hold_resolved:
        hold_void(hold_id=run.hold, event_at=moment, reason=reason, actor=actor)
    hold = uuid4()
    hold_take(
        allocation_id=allocation_id,
        hold_id=hold,
        amount_gpu_seconds=amount_gpu_seconds,
        event_at=moment,
        reason=reason,
        actor=actor,
    )
    Run.objects.filter(pk=run.pk).update(hold=hold, held_gpu_seconds=amount_gpu_seconds, hold_resolved=False)
    run.hold, run.held_gpu_seconds, run.hold_resolved = hold, amount_gpu_seconds, False


def _allocation(job: Job, line: QueueJob, drift: Drift) -> Allocation:
    """The allocation that pays for what the job became. Raises NotCoverable."""
    if drift.is_several:
        raise NotCoverable("array")
    if job.is_cpu:
        raise NotCoverable("gpu_type")  # it was submitted as one without GPUs, and nothing is held for any
    allocation = job.allocation if line.qos == job.allocation.qos else allocation_by_qos(line.qos)
    if allocation is None or allocation.cluster != job.cluster.name:
        raise NotCoverable("qos")
    if line.account != account_name(job.cluster, allocation.project.slug):
        raise NotCoverable("account")
    partition = job.cluster.partitions.filter(name=line.partition).first()
    usable = slices_read().of_parent(allocation.gpu_type)
    if partition is None or partition.gpu_type not in usable or _types(line) - {partition.gpu_type}:
        raise NotCoverable("gpu_type")
    return allocation


def _types(line: QueueJob) -> set[str]:
    return {gpu_type for gpu_type, count in line.gpus.items() if count and gpu_type != "gpu"}


def _gpu_type(line: QueueJob, allocation: Allocation) -> str:
    """What it has now; a slice of the allocation's type where it moved to a partition of those."""
    return next(iter(_types(line)), allocation.gpu_type)


def _cancel(job: Job, line: QueueJob, drift: Drift, error: Exception, adapter: ClusterAdapter) -> None:
    if "hold" in drift.fields and job.restarts_most and isinstance(error, QuotaError):
        chain_end(job, adapter, code="chain_balance")
        return
    moment = now()
    code = error.code if isinstance(error, NotCoverable) else "balance" if isinstance(error, QuotaError) else "other"
    reason = portal_reason("drift", fields=",".join(drift.fields), why=code)
    logger.warning("job %s differs in Slurm (%s) and is cancelled: %s", job.pk, ", ".join(drift.fields), error)
    # Slurm first: should it not answer, the next cycle finds the same drift and tries again.
    adapter.job_cancel_as_admin(job_id=str(line.job_id), reason="its size or limit was changed and cannot be paid for")
    Job.objects.filter(pk=job.pk).update(reason=reason, cancel_requested_at=moment, updated_at=moment)
