"""The run after a requeue: it has a hold of its own, taken in the transaction that charges the run before it."""

from collections.abc import Collection
from uuid import uuid4

from django.db.models import Q

from portal.clock import now
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.jobs.worker.chains import chain_is_over
from scheduler.settlement.charges import is_requeue
from scheduler.settlement.models import HeldJob
from scheduler.settlement.seen import Seen
from scheduler.settlement.services.holds import next_hold_gpu_seconds
from scheduler.settlement.services.runs import run_open
from scheduler.settlement.services.work import Settled, Work


def next_prepare(work: Work, waiting: dict[int, Seen], cluster: Cluster, ending: Collection[int]) -> None:
    """Asks for the next run's hold where a job of the portal goes back into Slurm's queue.

    `ending` are the runs that are settled with this one: a next run among them has ended, and needs no hold. A job from
    outside the portal takes none while it is pending, whether it ran before or not;
    one without GPUs never does.
    """
    run, record = work.run, work.record
    if run is None or not is_requeue(record.state) or run.job.origin != Job.Origin.PORTAL or run.job.is_cpu:
        return
    queued = waiting.get(record.job_id_raw)
    # Without a restart it is another job, to which Slurm gave the number.
    again = (
        queued is not None
        and bool(queued.restarts)
        and queued.submit_at > record.submit_at
        and queued.user == run.job.unix_account
    )
    # NODE_FAIL and PREEMPTED end a job or requeue it: only squeue knows. REQUEUED says it itself.
    if not again and record.state != "REQUEUED":
        return
    later = Q(submit_at=None) | Q(submit_at__gt=record.submit_at)
    work.next_run = Run.objects.filter(later, job=run.job, job_id_raw=record.job_id_raw).exclude(pk=run.pk).first()
    following = work.next_run
    if following is not None and (following.hold or following.ended_at or following.pk in ending):
        return
    if run.job.restarts_most and chain_is_over(run.job, run.job.runs.count() - (work.next_run is not None)):
        return  # it is seen to where jobs without a hold are
    if run.job.cancel_requested_at is None:
        work.next_hold = (uuid4(), next_hold_gpu_seconds(run.job, queued if again else None, cluster))


def next_apply(work: Work, *, taken: bool, done: Settled) -> None:
    """Opens the next run, with its hold or without; without one the job is held in Slurm until the balance reaches."""
    if work.next_hold is None or work.run is None:
        return
    hold, amount = work.next_hold if taken else (None, 0)
    run = work.next_run
    if run is None:
        run_open(
            work.run.job,
            hold=hold,
            held_gpu_seconds=amount,
            job_id_raw=work.record.job_id_raw,
            array_task=work.run.array_task,
        )
    elif hold is not None:
        Run.objects.filter(pk=run.pk).update(hold=hold, held_gpu_seconds=amount, hold_resolved=False)
    if hold is None:
        HeldJob.objects.get_or_create(
            job=work.run.job,
            defaults={"cluster_id": work.run.cluster_id, "why": HeldJob.Why.REQUEUED, "since": now()},
        )
    done.requeued += 1
