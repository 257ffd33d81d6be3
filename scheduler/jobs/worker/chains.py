"""Chains: a job that saves its state before its limit, requeues itself and continues, run after run.

Each run has its own hold and its own charge, as after any requeue: settlement books them. What is added here is the
end: after as many runs as were asked for, or when the balance does not reach for another one.
"""

import logging

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from portal.clock import now
from scheduler.clusters.adapters.protocol import ClusterAdapter
from scheduler.jobs.mails import job_mail
from scheduler.jobs.models import Job
from scheduler.jobs.states import portal_reason

logger = logging.getLogger(__name__)


def chain_is_over(job: Job, runs_ended: int) -> bool:
    """Whether a chain has had all its runs: the first, and as many more as were asked for."""
    return bool(job.restarts_most) and runs_ended > job.restarts_most


def chain_end(job: Job, adapter: ClusterAdapter, *, code: str) -> None:
    """Takes a chain's next run out of the queue. `code` is the reason's: "chain_balance" or "chain_done".

    Raises ClusterError: then nothing is written, and the next cycle comes again.
    """
    runs = job.runs.filter(ended_at__isnull=False).count()
    why = "its chain has had all its runs" if code == "chain_done" else "the balance does not reach for another run"
    adapter.job_cancel_as_admin(job_id=str(job.slurm_job_id), reason=why)
    moment = now()
    with transaction.atomic():
        Job.objects.filter(pk=job.pk).update(
            reason=portal_reason(code, runs=runs), cancel_requested_at=moment, updated_at=moment
        )
        if code != "chain_done":
            _tell(job, runs)
    logger.info("job %s: %s after %s runs", job.pk, code, runs)


def _tell(job: Job, runs: int) -> None:
    if job.person is None:
        return
    with translation.override(job.person.language):
        body = _(
            "Your job “%(name)s” saved its state after run %(runs)d of at most %(most)d and cannot continue: the "
            "allocation's balance does not reach for another run of this time limit. Nothing is lost but the rest of "
            "the work: its last checkpoint lies where the job put it. Run it again with a shorter time limit, or once "
            "the allocation has more GPU-hours."
        ) % {"name": job.name, "runs": runs, "most": job.restarts_most + 1}
        subject = _("Your job “%(name)s” stopped at the end of its balance") % {"name": job.name}
        job_mail(job, key=f"chain ended after {runs}", subject=subject, body=body)
