"""The tasks of an array, one by one: each has its runs, its log, and can be cancelled alone."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from django.http import Http404
from rest_framework.response import Response

from portal.api.endpoint import OPERATE, READ, ApiRequest, Endpoint
from portal.api.errors import Refused
from portal.api.openapi import Told
from portal.api.paging import paged
from scheduler.jobs import selectors
from scheduler.jobs.api.one import Fetch, LogShape, fetched, log_of
from scheduler.jobs.api.shapes import RunShape, run_shape
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.models import Job, Run
from scheduler.jobs.orders import verbs


@dataclass(frozen=True)
class TaskShape(RunShape):
    """A task of an array, by its last run."""

    state_text: str
    is_being_cancelled: Annotated[bool, "Whether its cancellation is on its way to Slurm."]


def array_of(request: ApiRequest, pk: UUID, fetch: Fetch) -> Job:
    """Raises Http404 where the job is no array, too."""
    job = fetched(request, pk, fetch)
    if not job.is_array:
        raise Http404
    return job


def task_of(job: Job, task: int) -> Run:
    """Its last run. Raises Http404."""
    found = selectors.tasks_of(job).filter(array_task=task).first()
    if found is None:
        raise Http404
    return found


def shown(run: Run, under_way: set[int]) -> TaskShape:
    state_text = run.get_state_display()
    return TaskShape(**vars(run_shape(run)), state_text=state_text, is_being_cancelled=run.array_task in under_way)


class Tasks(Endpoint):
    """The tasks of an array, in their order."""

    scopes = {"GET": {READ}}
    told_get = Told(TaskShape, rows=True, query={"state": "Only of this state."})

    def get(self, request: ApiRequest, pk: UUID) -> Response:
        job = array_of(request, pk, selectors.job_row_get)
        under_way = selectors.tasks_under_way(job)
        found = selectors.tasks_of(job, state=request.query_params.get("state", ""))
        return paged(request, found, lambda runs: [shown(run, under_way) for run in runs], by=("array_task",))


class OneTask(Endpoint):
    """A task of an array, by its last run."""

    scopes = {"GET": {READ}}
    told_get = Told(TaskShape)

    def get(self, request: ApiRequest, pk: UUID, task: int) -> Response:
        job = array_of(request, pk, selectors.job_row_get)
        return Response(shown(task_of(job, task), selectors.tasks_under_way(job)))


class TaskLog(Endpoint):
    """The end of the log of a task's last run. 202 with Retry-After while the cluster is being asked."""

    scopes = {"GET": {READ}}
    told_get = Told(LogShape)

    def get(self, request: ApiRequest, pk: UUID, task: int) -> Response:
        job = array_of(request, pk, selectors.job_get_readable)
        return log_of(job, task_of(job, task).job_id_raw or 0)


class TaskCancel(Endpoint):
    """Cancels one task; the others go on. Asked twice, it is asked once."""

    scopes = {"POST": {OPERATE}}
    told_post = Told(TaskShape, status=202)

    def post(self, request: ApiRequest, pk: UUID, task: int) -> Response:
        job = array_of(request, pk, selectors.job_get_cancellable)
        run = task_of(job, task)
        try:
            verbs.task_cancel(job_id=job.pk, person=request.user, task=task)
        except VerbImpossible as impossible:
            raise Refused.one(409, "impossible", str(impossible)) from impossible
        return Response(shown(run, {task}), status=202)
