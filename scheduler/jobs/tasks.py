"""What the cluster's worker does on order. The adapter is made here: no other process reaches a cluster."""

from datetime import timedelta
from uuid import UUID
from zlib import crc32

from celery import shared_task

from portal.clock import now
from portal.locks import LockSpace, held_if_free
from portal.outbox.models import Message
from portal.outbox.registry import handler
from scheduler.clusters.adapters import adapter_for
from scheduler.jobs.models import Job, SubmissionKey
from scheduler.jobs.orders import carrying
from scheduler.jobs.output import asking
from scheduler.jobs.worker import submission

TOGETHER_WITHIN_S = 2  # it saves work and guards nothing: who waited so long goes alone
KEYS_KEPT = timedelta(days=30)


@handler("jobs.submit")
def jobs_submit(message: Message) -> None:
    with held_if_free(LockSpace.SUBMISSION, turn_of(message), wait_s=TOGETHER_WITHIN_S):
        submission.attempt(
            job_id=UUID(message.payload["job"]),
            number=message.payload["attempt"],
            adapter=adapter_for(message.queue.removeprefix("cluster.")),
        )


def turn_of(message: Message) -> int:
    """Whose turn it is to submit. What a researcher sends meanwhile waits, and goes to Slurm together: one sudo and one
    squeue for all of it."""
    return crc32(f"{message.queue} {message.payload.get('account')}".encode()) & 0x7FFFFFFF


@handler("jobs.cancel")
def jobs_cancel(message: Message) -> None:
    """Raises ClusterError where Slurm does not answer: the relay comes again."""
    job = Job.objects.select_related("cluster").defer("script").get(pk=message.payload["job"])
    if job.is_open and job.slurm_job_id is not None:
        submission.cancel(job, adapter=adapter_for(job.cluster.name))


@handler("jobs.order")
def jobs_order(message: Message) -> None:
    """Raises ClusterError where Slurm does not answer: the relay comes again."""
    carrying.carry_out(
        order_id=UUID(message.payload["order"]),
        adapter=adapter_for(message.queue.removeprefix("cluster.")),
    )


@shared_task
def output_answer(job_id: str, what: str, number: int, path: list[str]) -> None:
    """What a job wrote or used, for its page. Nobody waits for it and nothing is lost with it."""
    question = asking.Question(UUID(job_id), what, number, tuple(path))
    cluster = Job.objects.values_list("cluster__name", flat=True).get(pk=question.job_id)
    asking.answer(question, adapter=adapter_for(cluster))


@shared_task
def submission_keys_forget() -> int:
    """Those of requests that nobody repeats any more."""
    return SubmissionKey.objects.filter(created_at__lt=now() - KEYS_KEPT).delete()[0]
