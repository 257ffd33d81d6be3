"""Jobs that were submitted without the portal: found, shown, and held for from the moment Slurm starts them.

While such a job is pending it takes no hold: else anyone could evict colleagues by queueing. Once it runs it will be
charged whatever happens, so its hold outranks those of the portal's jobs that have not started: the youngest of them
give theirs back and are held in Slurm (see waiting.py). What no hold covers is charged to the free balance, then to
overrun.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.clock import now
from portal.outbox.services import message_write
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.services import hold_take, hold_void
from scheduler.clusters.adapters.protocol import QueueJob
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.settlement.charges import hold_gpu_seconds
from scheduler.settlement.models import HeldJob
from scheduler.settlement.seen import Key, Seen, of_queue, ours_read
from scheduler.settlement.services.runs import runs_ensure, states_follow

logger = logging.getLogger(__name__)

RUNS_NOW = frozenset({"RUNNING", "SUSPENDED"})


@dataclass
class Covered:
    """What became of started jobs without a hold."""

    whole: int = 0
    partly: int = 0
    not_at_all: int = 0
    displaced: int = 0  # jobs of the portal that gave their hold back


def outside_cover(*, cluster: Cluster, queue: Sequence[QueueJob]) -> Covered:
    """Makes rows for what squeue shows of our accounts, and takes the hold of what started without one."""
    ours = ours_read(cluster)
    seen = [of_queue(job, ours) for job in queue if ours.has(job.account)]
    runs = runs_ensure(cluster=cluster, seen=seen, ours=ours)
    states_follow(cluster=cluster, seen=seen, runs=runs)
    pending = {one.key for one in seen if one.state == "PENDING"}
    done = Covered()
    for one in seen:
        run = runs.get(one.key)
        if run is None or one.state not in RUNS_NOW or run.job.origin != Job.Origin.OUTSIDE:
            continue
        if run.hold is None and run.ended_at is None and one.gpus:
            _cover(cluster, run, one, pending, done)
    return done


def _cover(cluster: Cluster, run: Run, one: Seen, pending: set[Key], done: Covered) -> None:
    needed = hold_gpu_seconds(gpus=one.gpus, time_limit_s=one.time_limit_s or 0, overshoot_s=cluster.overshoot_s)
    with transaction.atomic():
        try:
            held = _hold(cluster, run, needed)
        except AllocationNotOpen:
            # It started while the allocation was open, or an administrator let it: its charge needs no hold.
            done.not_at_all += 1
            return
        except BalanceTooSmall as error:
            done.displaced += _displace(cluster, run, needed - error.free_gpu_seconds, pending)
            held = _hold_what_there_is(cluster, run, needed)
    done.whole += held == needed
    done.partly += 0 < held < needed
    done.not_at_all += held == 0


def _hold(cluster: Cluster, run: Run, amount_gpu_seconds: int) -> int:
    hold = uuid4()
    hold_take(
        allocation_id=run.job.allocation_id,
        hold_id=hold,
        amount_gpu_seconds=amount_gpu_seconds,
        event_at=now(),
        reason=f"slurm {cluster.name} {run.job_id_raw}, submitted outside the portal",
        actor=f"worker:cluster.{cluster.name}",
    )
    run.hold, run.held_gpu_seconds, run.hold_resolved = hold, amount_gpu_seconds, False
    run.save(update_fields=["hold", "held_gpu_seconds", "hold_resolved"])
    return amount_gpu_seconds


def _hold_what_there_is(cluster: Cluster, run: Run, needed: int) -> int:
    """The whole hold, or as much of it as is free: nobody else shall plan with what this job is using up."""
    try:
        return _hold(cluster, run, needed)
    except BalanceTooSmall as error:
        logger.warning(
            "settlement: %s: job %s runs with %s of %s GPU-seconds held",
            cluster.name,
            run.job_id_raw,
            max(error.free_gpu_seconds, 0),
            needed,
        )
        return _hold(cluster, run, error.free_gpu_seconds) if error.free_gpu_seconds > 0 else 0


def _displace(cluster: Cluster, started: Run, missing_gpu_seconds: int, pending: set[Key]) -> int:
    """Gives back holds of the portal's jobs that squeue shows as pending, the youngest first, until enough is free."""
    holders = (
        Run.objects.select_for_update(of=("self",))
        .filter(
            cluster=cluster,
            job__origin=Job.Origin.PORTAL,
            job__allocation=started.job.allocation_id,
            job__state=Job.State.PENDING,
            hold__isnull=False,
            hold_resolved=False,
            ended_at=None,
        )
        .select_related("job__person", "job__cluster")
        .order_by("-job__created_at", "-pk")
    )
    count = 0
    for run in holders:
        if missing_gpu_seconds <= 0:
            break
        if (run.job_id_raw, run.submit_at) not in pending:
            continue  # it may have started by now
        assert run.hold is not None
        hold_void(
            hold_id=run.hold,
            event_at=now(),
            reason=f"slurm job {started.job_id_raw} started and needs it",
            actor=f"worker:cluster.{cluster.name}",
        )
        Run.objects.filter(pk=run.pk).update(hold_resolved=True)
        HeldJob.objects.get_or_create(
            job=run.job, defaults={"cluster": cluster, "why": HeldJob.Why.DISPLACED, "since": now()}
        )
        _tell(run)
        missing_gpu_seconds -= run.held_gpu_seconds
        count += 1
    return count


def _tell(run: Run) -> None:
    job = run.job
    if job.person is None or not job.person.is_active:
        return
    with translation.override(job.person.language):
        body = _(
            "Your job “%(name)s” (Slurm %(number)s) waits again. A job of the same project that was submitted"
            " outside the portal has started and uses GPU-hours that were set aside for yours. Your job stays in Slurm"
            " and goes on by itself as soon as the balance reaches for it again.\n\n%(address)s\n"
        ) % {"name": job.name, "number": job.slurm_job_id, "address": _address(job)}
        message_write(
            topic="mail.send",
            key=f"job {job.pk} displaced {run.hold}",
            payload={
                "to": [job.person.email],
                "subject": _("Your job “%(name)s” waits for GPU-hours") % {"name": job.name},
                "body": body,
            },
        )


def _address(job: Job) -> str:
    try:
        return settings.SITE_URL.rstrip("/") + reverse("jobs:job", args=[job.pk])
    except NoReverseMatch:
        return settings.SITE_URL
