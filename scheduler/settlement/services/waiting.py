"""The portal's pending jobs that have no hold: held in Slurm until the balance reaches for them again.

They lost it to a job that Slurm started outside the portal, or were requeued when the balance no longer reached. A
`HeldJob` row stands for each, from before it is held in Slurm until after it is released, so every cycle can do what is
missing.
"""

import logging
from collections.abc import Sequence
from uuid import uuid4

from django.db import transaction

from portal.clock import now
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.services import hold_take
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, QueueJob
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.jobs.states import HELD_REASONS
from scheduler.jobs.worker.chains import chain_end, chain_is_over
from scheduler.settlement.charges import hold_gpu_seconds
from scheduler.settlement.models import HeldJob
from scheduler.settlement.seen import Key

logger = logging.getLogger(__name__)

HELD_BY_ADMIN = "JobHeldAdmin"  # squeue's reason


def waiting_follow(*, cluster: Cluster, adapter: ClusterAdapter, queue: Sequence[QueueJob]) -> None:
    """Takes holds where they fit again and releases those jobs; holds the others in Slurm. Oldest job first.

    One job that Slurm refuses to hold or release is logged; the next cycle tries again.
    """
    lines = {(line.job_id, line.submit_at): line for line in queue if line.state == "PENDING"}
    _without_hold_mark(cluster, lines)
    for held in HeldJob.objects.filter(cluster=cluster).select_related("job").order_by("job__created_at"):
        run = Run.objects.filter(job=held.job, ended_at=None).order_by("-pk").first()
        line = lines.get((run.job_id_raw or 0, run.submit_at)) if run and run.submit_at else None
        if run is None or not held.job.is_open or held.job.cancel_requested_at or run.started_at:
            held.delete()
        elif line is not None:
            try:
                _follow(cluster, adapter, held, run, line)
            except ClusterError as error:
                logger.warning("settlement: %s: job %s: %s", cluster.name, line.job_id, error)


def _without_hold_mark(cluster: Cluster, lines: dict[Key, QueueJob]) -> None:
    """Rows for pending jobs of the portal that have no hold and none of whose causes wrote one."""
    runs = Run.objects.filter(
        cluster=cluster,
        job__origin=Job.Origin.PORTAL,
        job__state=Job.State.PENDING,
        job__cancel_requested_at=None,
        job__held=None,
        job__gpus_per_node__gt=0,  # nothing is held for others
        ended_at=None,
        submit_at__isnull=False,
    ).exclude(hold__isnull=False, hold_resolved=False)
    missing = {run.job_id for run in runs if (run.job_id_raw or 0, run.submit_at) in lines}
    HeldJob.objects.bulk_create(
        [HeldJob(job_id=job_id, cluster=cluster, why=HeldJob.Why.REQUEUED, since=now()) for job_id in missing],
        ignore_conflicts=True,
    )


def _follow(cluster: Cluster, adapter: ClusterAdapter, held: HeldJob, run: Run, line: QueueJob) -> None:
    if chain_is_over(held.job, held.job.runs.filter(ended_at__isnull=False).count()):
        chain_end(held.job, adapter, code="chain_done")
        held.delete()
        return
    covered = (run.hold is not None and not run.hold_resolved) or _hold(cluster, held.job, run, line)
    if covered:
        if line.reason == HELD_BY_ADMIN:
            adapter.job_release(job_id=str(line.job_id))
        held.delete()
    elif held.job.restarts_most and held.why == HeldJob.Why.REQUEUED:
        chain_end(held.job, adapter, code="chain_balance")
        held.delete()
    elif line.reason not in HELD_REASONS:  # what its owner holds does not start either, and is looked at again later
        adapter.job_hold(job_id=str(line.job_id), reason="waits for GPU-hours: the balance does not reach for it now")


def _hold(cluster: Cluster, job: Job, run: Run, line: QueueJob) -> bool:
    amount = hold_gpu_seconds(
        gpus=sum(line.gpus.values()) or job.gpus,
        time_limit_s=line.time_limit_s or job.time_limit_s,
        overshoot_s=cluster.overshoot_s,
    )
    hold = uuid4()
    try:
        with transaction.atomic():
            hold_take(
                allocation_id=job.allocation_id,
                hold_id=hold,
                amount_gpu_seconds=amount,
                event_at=now(),
                reason=f"job {job.pk}, again",
                actor=f"worker:cluster.{cluster.name}",
            )
            Run.objects.filter(pk=run.pk).update(hold=hold, held_gpu_seconds=amount, hold_resolved=False)
    except (BalanceTooSmall, AllocationNotOpen):
        return False
    return True
