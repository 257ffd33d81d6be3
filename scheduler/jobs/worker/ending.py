"""What waits on an allocation that takes no more jobs: it can never start, so it is cancelled and its people are told.

Expiry, closing and suspension shut the QOS in the cycle's plan: nothing new starts. Here the waiting jobs go, those of
the portal and those from outside it. What runs is left alone and keeps what it holds; so Slurm is asked to cancel only
what is still pending when it gets there.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.clock import centre_date, now
from portal.outbox.services import message_write
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, QueueJob
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job
from scheduler.jobs.services import runs_void
from scheduler.jobs.states import portal_reason

logger = logging.getLogger(__name__)
State = Allocation.State


def waiting_end(cluster: Cluster, queue: Sequence[QueueJob], adapter: ClusterAdapter) -> int:
    """Cancels what waits on shut allocations; returns how many. One that Slurm does not cancel comes again."""
    shut = Q(state__in=[State.SUSPENDED, State.EXPIRED, State.CLOSED]) | Q(ends_on__lt=centre_date(now()))
    allocations = {row.qos: row for row in Allocation.objects.filter(shut, cluster=cluster.name)}
    if not allocations:
        return 0
    ended = _unsubmitted_end(cluster, allocations)
    for line in queue:
        allocation = allocations.get(line.qos)
        if allocation is None or line.state != "PENDING":
            continue
        try:
            adapter.job_cancel_as_admin(
                job_id=str(line.array_job_id or line.job_id),
                reason=f"its allocation is {allocation.state}",
                pending_only=True,
            )
        except ClusterError as error:
            logger.warning("jobs: %s: job %s: %s", cluster.name, line.job_id, error)
            continue
        _tell_of(cluster, line, allocation)
        ended += 1
    return ended


def _unsubmitted_end(cluster: Cluster, allocations: dict[str, Allocation]) -> int:
    """Jobs that Slurm was not asked for yet end here, with their holds."""
    rows = Job.objects.filter(cluster=cluster, state=Job.State.QUEUED, allocation__in=allocations.values())
    return sum(_unsubmitted_one_end(pk) for pk in list(rows.values_list("pk", flat=True)))


def _unsubmitted_one_end(pk: UUID) -> bool:
    with transaction.atomic():
        # Whoever attempts it meanwhile was first, and the next cycle finds it in Slurm's queue.
        rows = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("allocation", "cluster")
        job = rows.filter(pk=pk, state=Job.State.QUEUED).first()
        if job is None:
            return False
        Job.objects.filter(pk=pk).update(state=Job.State.CANCELLED, reason=_reason(job.allocation), updated_at=now())
        runs_void(
            job.runs.all(),
            reason=f"job {pk}: allocation {job.allocation.state}",
            actor=f"worker:cluster.{job.cluster.name}",
        )
        _tell(job, job.allocation)
    return True


def _tell_of(cluster: Cluster, line: QueueJob, allocation: Allocation) -> None:
    jobs = Job.objects.filter(cluster=cluster, slurm_job_id=line.array_job_id or line.job_id, allocation=allocation)
    for job in jobs.filter(state__in=Job.OPEN_STATES).select_related("person"):
        with transaction.atomic():
            Job.objects.filter(pk=job.pk, state__in=Job.OPEN_STATES).update(reason=_reason(allocation))
            _tell(job, allocation)


def _reason(allocation: Allocation) -> str:
    return portal_reason("suspended" if allocation.state == State.SUSPENDED else "ended")


def _tell(job: Job, allocation: Allocation) -> None:
    """Once a job, in the caller's transaction."""
    if job.person is None or not job.person.is_active:
        return
    with translation.override(job.person.language):
        if allocation.state == State.SUSPENDED:
            why = _("Its allocation was suspended: %(reason)s") % {"reason": allocation.state_reason or "—"}
        else:
            why = _("Its allocation has ended.")
        body = _(
            "Your job “%(name)s” was still waiting and was cancelled. %(why)s It used no GPU-hours, and what was held "
            "for it is free again. Jobs that run go on.\n\n%(address)s\n"
        ) % {
            "name": job.name,
            "why": why,
            "address": settings.SITE_URL.rstrip("/") + reverse("jobs:job", args=[job.pk]),
        }
        message_write(
            topic="mail.send",
            key=f"job {job.pk} ended with its allocation",
            payload={
                "to": [job.person.email],
                "subject": _("Your waiting job “%(name)s” was cancelled") % {"name": job.name},
                "body": body,
            },
        )
