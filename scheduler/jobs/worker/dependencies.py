"""Jobs that wait for other jobs, in the cluster's worker.

Slurm does the waiting, by its own numbers. Here is what it cannot know: a job to wait for that has no number yet; one
that ended before and that Slurm may have forgotten by now, or given its number away; and what becomes of a job whose
dependency can never come true.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from portal.clock import now
from portal.outbox.errors import Later
from scheduler.clusters.adapters.protocol import ClusterAdapter, QueueJob
from scheduler.jobs.mails import job_mail
from scheduler.jobs.models import Dependency, Job
from scheduler.jobs.services import runs_void
from scheduler.jobs.states import portal_reason

ASK_AGAIN_S = 5
NEVER = "DependencyNeverSatisfied"  # squeue's reason


def parents_await(*, job_id: UUID, adapter: ClusterAdapter) -> str | None:
    """What sbatch is told that a job depends on, "" for nothing. None: it can never start, and that is seen to.

    Raises Later while a job to wait for is on its way to Slurm; ClusterError.
    """
    rows = list(Dependency.objects.filter(job=job_id, job__state=Job.State.QUEUED).select_related("on"))
    if not rows:
        return ""
    if any(_never(row) for row in rows):
        _unsubmitted_never(job_id)
        return None
    waiting = [row for row in rows if row.on.is_open]
    missing = [row for row in waiting if row.on.slurm_job_id is None]
    if missing or not _all_shown(waiting, adapter):
        Job.objects.filter(pk=job_id, state=Job.State.QUEUED, reason="").update(
            reason=portal_reason("waits_for_job"), updated_at=now()
        )
        raise Later(ASK_AGAIN_S, "a job that it depends on is not in Slurm yet")
    return ",".join(f"{row.kind}:{row.on.slurm_job_id}" for row in waiting)


def _never(row: Dependency) -> bool:
    if row.on.is_open:
        return False
    succeeded = row.on.state == Job.State.COMPLETED
    return (row.kind == Dependency.Kind.AFTER_OK and not succeeded) or (
        row.kind == Dependency.Kind.AFTER_NOT_OK and succeeded
    )


def _all_shown(rows: Sequence[Dependency], adapter: ClusterAdapter) -> bool:
    """Whether Slurm still has every one of them: what it has forgotten it would take for done, or for another's."""
    numbers = [row.on.slurm_job_id for row in rows if row.on.slurm_job_id is not None]
    if not numbers:
        return True
    lines = adapter.queue(job_ids=numbers)
    return all(
        any(
            row.on.slurm_job_id in (line.job_id, line.array_job_id)
            and line.user == row.on.unix_account
            and (line.submit_at == row.on.slurm_submit_at or line.restarts)
            for line in lines
        )
        for row in rows
    )


def _unsubmitted_never(job_id: UUID) -> None:
    with transaction.atomic():
        job = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("cluster").get(pk=job_id)
        if job.state != Job.State.QUEUED:
            return
        state = job.state if job.keeps_unsatisfied else Job.State.CANCELLED
        Job.objects.filter(pk=job_id).update(state=state, reason=portal_reason("never"), updated_at=now())
        if not job.keeps_unsatisfied:
            actor = f"worker:cluster.{job.cluster.name}"
            runs_void(job.runs.all(), reason=f"job {job_id}: what it depends on ended otherwise", actor=actor)
        _tell(job)


def never_end(job: Job, line: QueueJob, adapter: ClusterAdapter) -> bool:
    """Cancels a job in Slurm that waits for what cannot come true, unless it is to be kept. Raises ClusterError."""
    if line.reason != NEVER or job.keeps_unsatisfied or not job.dependencies.exists():
        return False
    # Slurm first: should it not answer, the next cycle finds the same again.
    adapter.job_cancel_as_admin(
        job_id=str(job.slurm_job_id), reason="what it depends on ended otherwise", pending_only=True
    )
    moment = now()
    with transaction.atomic():
        Job.objects.filter(pk=job.pk, state__in=Job.OPEN_STATES).update(
            reason=portal_reason("never"), cancel_requested_at=moment, updated_at=moment
        )
        _tell(job)
    return True


def _tell(job: Job) -> None:
    """Once a job, in the caller's transaction."""
    if job.person is None:
        return
    with translation.override(job.person.language):
        parents = ", ".join(f"“{row.on.name}”" for row in job.dependencies.select_related("on"))
        subject = _("Your job “%(name)s” can never start") % {"name": job.name}
        body = _("It was to start after %(parents)s, which ended otherwise than you asked for.") % {"parents": parents}
        if job.keeps_unsatisfied:
            body += " " + _("It is kept, as you chose, and keeps what is held for it until you cancel it.")
        else:
            body += " " + _("It was cancelled; it used no GPU-hours, and what was held for it is free again.")
        job_mail(job, key="never", subject=subject, body=body)
