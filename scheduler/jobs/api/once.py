"""The same request, however often it is sent, is one job: by the key that its sender made up."""

import hashlib
import json
import re
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.api.endpoint import ApiRequest
from portal.api.errors import Refused
from portal.clock import now
from portal.people.models import User
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job, SubmissionKey
from scheduler.jobs.services import job_submit

HEADER = "Idempotency-Key"
_FORM = re.compile(r"[!-~]{1,200}")


def key_of(request: ApiRequest) -> str:
    """ "" where none was sent. Raises Refused."""
    key: str = request.headers.get(HEADER, "")
    if key and not _FORM.fullmatch(key):
        text = _("An Idempotency-Key has 1 to 200 letters, digits and signs, without spaces.")
        raise Refused.one(400, "idempotency_key", text)
    return key


def digest_of(sent: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def job_known(*, person: User, key: str, digest: str) -> Job | None:
    """What this key made before. Raises Refused (409) where that was something else."""
    found = SubmissionKey.objects.filter(person=person, key=key).first()
    if found is None:
        return None
    if found.digest != digest:
        text = _("This Idempotency-Key was sent with another job before. Nothing was submitted; make up a new key.")
        raise Refused.one(409, "idempotency_key_used", text)
    related = ("project", "cluster", "person")
    return Job.objects.select_related(*related).defer("script", "filled").get(pk=found.job_id)


def job_submit_once(*, person: User, key: str, digest: str, **submission: Any) -> tuple[Job, bool]:
    """As `job_submit`, and whether this call made the job. Raises JobRefused, Refused.

    The key is written in the transaction of the job: there is never one without the other, and of two requests at
    once the second waits for the first one's end.
    """
    try:
        with transaction.atomic():
            job = job_submit(person=person, **submission)
            SubmissionKey.objects.create(person=person, key=key, digest=digest, job=job, created_at=now())
    except (IntegrityError, JobRefused):
        # The other one was quicker, or has the balance that this one misses.
        same = job_known(person=person, key=key, digest=digest)
        if same is None:
            raise
        return same, False
    return job, True
