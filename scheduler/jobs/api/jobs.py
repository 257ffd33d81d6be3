"""Listing, estimating and submitting jobs."""

from typing import Any

from django.http import Http404
from django.urls import reverse
from rest_framework.response import Response

from portal.api.endpoint import READ, SUBMIT, ApiRequest, Endpoint
from portal.api.errors import Refused
from portal.api.openapi import Told
from portal.api.paging import paged
from quotas.programmes.selectors import worth_today_vnd
from scheduler.jobs import selectors
from scheduler.jobs.api.filling import Filling, of_problem
from scheduler.jobs.api.once import digest_of, job_known, job_submit_once, key_of
from scheduler.jobs.api.shapes import Estimate, JobRow, row_of, rows_of
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job
from scheduler.jobs.services import Draft, job_submit

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
# The form's own fields; a preset's are those that `presets/` names.
BODY: dict[str, Any] = {
    "type": "object",
    "required": ["allocation"],
    "properties": {
        "allocation": _NUMBER | {"description": "The id of one, as allocations/ lists them."},
        "name": _TEXT,
        "gpus_per_node": _NUMBER,
        "nodes": _NUMBER,
        "time_limit": _TEXT | {"description": "Such as 2h, 90m or 1:30:00."},
        "partition": _TEXT | {"description": "Left out: the portal chooses, among those of whole GPUs."},
        "cpus_per_node": _NUMBER | {"description": "Only on a partition without GPUs."},
        "reservation": _TEXT | {"description": "Slurm's name of one that is for the project or the person."},
        "script": _TEXT | {"description": "Left out: the preset's."},
        "preset": _TEXT | {"description": "Its fields stand beside these; shape, limit and name may be left out then."},
        "array": _TEXT | {"description": "Such as 0-99%8."},
        "after": {"type": "array", "items": {"type": "string", "format": "uuid"}, "description": "Jobs to wait for."},
        "after_kind": {"enum": ["afterok", "afterany", "afternotok"]},
        "unsatisfied": {"enum": ["cancel", "keep"]},
        "data_sets": {"type": "array", "items": _NUMBER, "description": "Of the catalogue, by their ids."},
        "restarts": _NUMBER,
        "checkpoint_lead": _TEXT,
    },
    "additionalProperties": {"type": ["string", "integer"], "description": "A field of the preset."},
}


class Jobs(Endpoint):
    """Jobs that the person may see; submitting one."""

    scopes = {"GET": {READ}, "POST": {SUBMIT}}
    told_get = Told(
        JobRow,
        rows=True,
        query={
            "state": "A state, or “open”, or “ended”.",
            "project": "A project's slug.",
            "mine": "1: only one's own.",
        },
    )
    told_post = Told(
        JobRow, status=201, body=BODY, headers={"Idempotency-Key": "Of one's own making; sent again, it is one job."}
    )

    def get(self, request: ApiRequest) -> Response:
        """The newest first."""
        asked = request.query_params
        project, token = asked.get("project", ""), request.auth
        if token.project is not None and project not in ("", token.project.slug):
            raise Http404
        found = selectors.job_list(
            request.user,
            state=asked.get("state", ""),
            project=token.project.slug if token.project else project,
            mine=asked.get("mine") == "1",
        )
        return paged(request, found, rows_of, by=("-created_at", "-id"))

    def post(self, request: ApiRequest) -> Response:
        """Submits a job: 201. Sent again with the same Idempotency-Key it is the same job: 200."""
        key, digest = key_of(request), digest_of(request.data)
        same = job_known(person=request.user, key=key, digest=digest) if key else None
        if same is not None:
            return _submitted(request, same, is_new=False)
        filling = Filling(request)
        if not filling.is_valid:
            raise Refused(422, filling.errors(filling.draft()))
        submission = filling.submission()
        try:
            if key:
                job, is_new = job_submit_once(person=request.user, key=key, digest=digest, **submission)
            else:
                job, is_new = job_submit(person=request.user, **submission), True
        except JobRefused as refused:
            raise Refused(422, map(of_problem, refused.problems)) from refused
        return _submitted(request, job, is_new=is_new)


def _submitted(request: ApiRequest, job: Job, *, is_new: bool) -> Response:
    if not request.auth.covers(job.project_id):
        raise Http404
    address = reverse("jobs_v1:job", args=[job.pk])
    return Response(row_of(job), status=201 if is_new else 200, headers={"Location": address})


class JobEstimate(Endpoint):
    """What a job would cost, whether it fits, and what stands in its way."""

    scopes = {"POST": {READ, SUBMIT}}
    told_post = Told(Estimate, body=BODY)

    def post(self, request: ApiRequest) -> Response:
        """What a job would cost, whether it fits, and what stands in its way. Writes nothing."""
        filling = Filling(request)
        draft = filling.draft()
        errors = tuple(filling.errors(draft))
        is_sized = not {"allocation", "gpus_per_node", "nodes", "time_limit"} & filling.form.errors.keys()
        return Response(_estimate(draft, errors, is_sized=is_sized))


def _estimate(draft: Draft | None, errors: tuple[Any, ...], *, is_sized: bool) -> Estimate:
    verdict = draft.verdict if draft and is_sized else None
    return Estimate(
        fits=verdict is not None and not errors,
        errors=errors,
        cluster=draft.cluster.name if draft and draft.cluster else None,
        partition=verdict.partition if verdict else None,
        gpu_type=draft.shape.gpu_type if verdict and draft and draft.shape else None,
        cost_gpu_seconds=verdict.cost_gpu_seconds if verdict else None,
        hold_gpu_seconds=verdict.hold_gpu_seconds if verdict else None,
        free_gpu_seconds=verdict.free_gpu_seconds if verdict else None,
        free_after_gpu_seconds=verdict.free_after_gpu_seconds if verdict else None,
        longest_time_limit_s=verdict.longest_s if verdict else None,
        worth_vnd=worth_today_vnd(draft.gpu_type, verdict.cost_gpu_seconds) if draft and verdict else None,
        script=draft.rendered if draft and is_sized else "",
    )
