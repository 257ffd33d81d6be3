"""Mails about a job to the person whose job it is."""

from django.conf import settings
from django.urls import reverse

from portal.outbox.services import message_write
from scheduler.jobs.models import Job


def job_mail(job: Job, *, key: str, subject: str, body: str) -> None:
    """In the caller's transaction and in the language that is active; once a job and key. Adds its address."""
    if job.person is None or not job.person.is_active:
        return
    address = settings.SITE_URL.rstrip("/") + reverse("jobs:job", args=[job.pk])
    message_write(
        topic="mail.send",
        key=f"job {job.pk} {key}",
        payload={"to": [job.person.email], "subject": subject, "body": f"{body}\n\n{address}\n"},
    )
