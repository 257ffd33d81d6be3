"""What the cluster's worker does on order. The adapter is made here: no other process reaches a cluster."""

from uuid import UUID

from portal.outbox.models import Message
from portal.outbox.registry import handler
from scheduler.clusters.adapters import adapter_for
from scheduler.jobs import submission
from scheduler.jobs.models import Job


@handler("jobs.submit")
def jobs_submit(message: Message) -> None:
    submission.attempt(
        job_id=UUID(message.payload["job"]),
        number=message.payload["attempt"],
        adapter=adapter_for(message.queue.removeprefix("cluster.")),
    )


@handler("jobs.cancel")
def jobs_cancel(message: Message) -> None:
    """Raises ClusterError where Slurm does not answer: the relay comes again."""
    job = Job.objects.select_related("cluster").defer("script").get(pk=message.payload["job"])
    if job.is_open and job.slurm_job_id is not None:
        submission.cancel(job, adapter=adapter_for(job.cluster.name))
