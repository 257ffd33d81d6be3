"""One job: reading it, what it wrote, and what is asked of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from rest_framework.response import Response

from portal.api.endpoint import OPERATE, READ, ApiRequest, Endpoint, covered
from portal.api.errors import Refused
from portal.api.openapi import Told
from portal.files.responses import only_download
from scheduler.jobs import selectors
from scheduler.jobs.api.shapes import JobWhole, whole_of
from scheduler.jobs.asking import NotReachable
from scheduler.jobs.durations import DurationInvalid, time_limit_parse
from scheduler.jobs.errors import JobEnded, VerbImpossible
from scheduler.jobs.models import Job
from scheduler.jobs.orders import verbs
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question, TooManyFiles
from scheduler.jobs.output.shown import listing_shown, log_shown, logs_named, refusal_text, run_number
from scheduler.jobs.services import job_cancel

AGAIN_S = "2"  # after which an answer from the cluster can be here
Fetch = Callable[[Any, UUID], Job]


def fetched(request: ApiRequest, pk: UUID, fetch: Fetch) -> Job:
    """The permission is the fetch; and the token's project. Raises Http404."""
    job = fetch(request.user, pk)
    covered(request, job.project_id)
    return job


class OneJob(Endpoint):
    """A job with its script, runs and charge."""

    scopes = {"GET": {READ}}
    told_get = Told(JobWhole)

    def get(self, request: ApiRequest, pk: UUID) -> Response:
        return _whole(request, fetched(request, pk, selectors.job_get))


def _whole(request: ApiRequest, job: Job, status: int = 200) -> Response:
    shape = whole_of(job, may_act=selectors.may_cancel(request.user, job))
    return Response(shape, status=status)


# --- what it wrote ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogShape:
    """The end of a run's log. The cluster is asked while you wait for nothing: 202 says to ask again in a moment."""

    run: int
    runs: Annotated[tuple[int, ...], "Slurm's numbers of the runs that have a log."]
    state: Annotated[str, "text, empty, binary, asked (comes in a moment), nothing, refused"]
    text: str
    said: Annotated[str, "In words, where there is no text."]
    size: Annotated[int, "Of the whole log, in bytes."]
    is_cut: Annotated[bool, "Whether the text is only its end."]
    changed_at: datetime | None
    follows: Annotated[bool, "Whether more can come."]


class JobLog(Endpoint):
    """The end of a job's log. 202 with Retry-After while the cluster is being asked."""

    scopes = {"GET": {READ}}
    told_get = Told(LogShape, query={"run": "Slurm's number of a run; the last one unless said."})

    def get(self, request: ApiRequest, pk: UUID) -> Response:
        job = fetched(request, pk, selectors.job_get_readable)
        return log_of(job, run_number(job, request.query_params.get("run", "")))


def log_of(job: Job, number: int) -> Response:
    """Of the run with Slurm's number; 0: there is none."""
    log = log_shown(job, number)
    shape = LogShape(
        run=number,
        runs=tuple(one for one, _name in logs_named(job)),
        state=log.state,
        text=log.text,
        said=log.said,
        size=log.size,
        is_cut=log.is_cut,
        changed_at=log.changed_at,
        follows=log.follows,
    )
    return _perhaps(shape, is_coming=log.state == "asked")


@dataclass(frozen=True)
class EntryShape:
    path: Annotated[tuple[str, ...], "Its names from the job's folder on: “p” of files/get/, one for each."]
    kind: Annotated[str, "file, folder, link, other"]
    size: int
    changed_at: datetime
    is_offered: Annotated[bool, "Whether files/get/ hands it out."]


@dataclass(frozen=True)
class ListingShape:
    entries: tuple[EntryShape, ...]
    unnamed: Annotated[int, "How many have a name that cannot be shown."]
    is_whole: bool
    said: str
    follows: bool


class JobFiles(Endpoint):
    """What lies in a job's folder. 202 with Retry-After while the cluster is being asked."""

    scopes = {"GET": {READ}}
    told_get = Told(ListingShape)

    def get(self, request: ApiRequest, pk: UUID) -> Response:
        job = fetched(request, pk, selectors.job_get_readable)
        listing = listing_shown(job)
        entries = tuple(
            EntryShape(one.path, one.kind, one.size, one.changed_at, one.is_offered) for one in listing.entries
        )
        shape = ListingShape(entries, listing.unnamed, listing.is_whole, listing.said, listing.follows)
        return _perhaps(shape, is_coming=listing.is_coming)


class JobFile(Endpoint):
    """A file's bytes. 202 with Retry-After while it is being brought."""

    scopes = {"GET": {READ}}
    told_get = Told(query={"p": "A name of its path; once for each."}, content_type="application/octet-stream")

    def get(self, request: ApiRequest, pk: UUID) -> HttpResponse:
        job = fetched(request, pk, selectors.job_get_readable)
        path = tuple(request.query_params.getlist("p"))
        if not path:
            raise Refused.one(422, "required", _("Name the file: ?p=folder&p=name."), field="p")
        question = Question(job.pk, "file", path=path)
        try:
            data = asking.file_take(question)
            reply = None
            if data is None:
                reply = asking.file_ask(question, cluster=job.cluster.name, person_id=request.user.pk)
        except TooManyFiles:
            text = _("Several files are being fetched already. Try again in a minute.")
            raise Refused.one(429, "too_many_files", text, Retry_After="60") from None
        except NotReachable:
            raise Refused.one(503, "away", refusal_text("away", ""), Retry_After="30") from None
        if data is None and reply is not None and reply.code:
            raise Refused.one(409, reply.code, refusal_text(reply.code, reply.message), field="p")
        if data is None:
            return _perhaps({"said": _("The cluster is being asked …")}, is_coming=True)
        response = HttpResponse(data, content_type="application/octet-stream")
        only_download(response, path[-1])
        return response


def _perhaps(body: object, *, is_coming: bool) -> Response:
    """What is known so far; 202 and when to ask again, where the cluster's answer is on its way."""
    return Response(body, status=202, headers={"Retry-After": AGAIN_S}) if is_coming else Response(body)


# --- what is asked of it ------------------------------------------------------------------------------------------


class Asked(Endpoint, ABC):
    """Base of what is asked of a job in Slurm: taken down now (202), carried out by the cluster's worker."""

    scopes = {"POST": {OPERATE}}
    told_post = Told(JobWhole, status=202)

    def post(self, request: ApiRequest, pk: UUID, **parts: str) -> Response:
        job = fetched(request, pk, selectors.job_get_cancellable)
        try:
            self.ask(request, job, **parts)
        except (JobEnded, VerbImpossible) as impossible:
            code = "ended" if isinstance(impossible, JobEnded) else "impossible"
            raise Refused.one(409, code, str(impossible)) from impossible
        return _whole(request, selectors.job_get(request.user, job.pk), status=202)

    @abstractmethod
    def ask(self, request: ApiRequest, job: Job, **parts: str) -> None:
        """Takes it down. Raises JobEnded, VerbImpossible."""


class JobCancel(Asked):
    """Cancels a job. Asked twice, it is asked once."""

    def ask(self, request: ApiRequest, job: Job, **parts: str) -> None:
        job_cancel(job_id=job.pk, person=request.user)


class JobOrder(Asked):
    """Puts a job on hold, releases it, or puts it back into the queue. Asked twice, it is asked once."""

    def ask(self, request: ApiRequest, job: Job, **parts: str) -> None:
        verbs.job_order(job_id=job.pk, person=request.user, verb=parts["verb"])


class JobExtend(Asked):
    """Gives a running job more time; the hold for the whole new limit is taken first."""

    told_post = Told(
        JobWhole,
        status=202,
        body={
            "type": "object",
            "required": ["time_limit"],
            "properties": {"time_limit": {"type": "string", "description": "The new limit from its start: 6h."}},
        },
    )

    def ask(self, request: ApiRequest, job: Job, **parts: str) -> None:
        try:
            time_limit_s = time_limit_parse(str(request.data.get("time_limit") or "")[:40])
        except DurationInvalid as invalid:
            raise Refused.one(422, "time_limit", str(invalid), field="time_limit") from invalid
        verbs.job_extend(job_id=job.pk, person=request.user, time_limit_s=time_limit_s)
