"""One step of the worker for a job, against a Slurm in memory."""

from datetime import timedelta

from portal.outbox.models import Message
from scheduler.jobs.models import Job
from scheduler.jobs.worker import submission
from scheduler.jobs.worker.cycle import jobs_cycle
from tests.scheduler.jobs.fake import FakeSlurm


def attempt(job: Job, slurm: FakeSlurm, number: int = 1) -> Job:
    submission.attempt(job_id=job.pk, number=number, adapter=slurm)
    job.refresh_from_db()
    return job


def cycle(job: Job, slurm: FakeSlurm) -> Job:
    jobs_cycle("local", slurm.queue(), slurm.controller_status(), adapter=slurm)
    job.refresh_from_db()
    return job


def cycles(job: Job, slurm: FakeSlurm, clock, *, seconds: int, every: int = 5) -> Job:
    for _ in range(0, seconds, every):
        clock.shift(timedelta(seconds=every))
        cycle(job, slurm)
    return job


def orders(topic: str = "jobs.submit") -> list[dict]:
    return list(Message.objects.filter(topic=topic).order_by("id").values_list("payload", flat=True))
