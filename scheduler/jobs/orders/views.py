"""What a person asks of a job in Slurm, and the tasks of an array."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.web.requests import PersonRequest
from scheduler.jobs import selectors
from scheduler.jobs.durations import DurationInvalid, time_limit_parse
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.models import Job
from scheduler.jobs.orders import verbs

TASKS_A_PAGE = 50


@require_POST
@login_required
def job_order(request: PersonRequest, pk: UUID, verb: str) -> HttpResponse:
    found = selectors.job_get_cancellable(request.user, pk)
    try:
        verbs.job_order(job_id=found.pk, person=request.user, verb=verb)
    except VerbImpossible as impossible:
        messages.warning(request, str(impossible))
    else:
        messages.success(request, _("Slurm is being asked; the page shows what comes of it."))
    return redirect("jobs:job", pk)


@require_POST
@login_required
def job_extend(request: PersonRequest, pk: UUID) -> HttpResponse:
    found = selectors.job_get_cancellable(request.user, pk)
    try:
        time_limit_s = time_limit_parse(request.POST.get("time_limit", "")[:40])
        verbs.job_extend(job_id=found.pk, person=request.user, time_limit_s=time_limit_s)
    except (DurationInvalid, VerbImpossible) as impossible:
        messages.warning(request, str(impossible))
    else:
        messages.success(request, _("Its hold is taken and Slurm is being asked; the page shows what comes of it."))
    return redirect("jobs:job", pk)


@require_safe
@login_required
def job_tasks(request: PersonRequest, pk: UUID) -> HttpResponse:
    """An array's tasks, a page of them. It asks for itself again for as long as the job is not final."""
    return _tasks(request, selectors.job_get(request.user, pk))


@require_POST
@login_required
def task_cancel(request: PersonRequest, pk: UUID, task: int) -> HttpResponse:
    found = selectors.job_get_cancellable(request.user, pk)
    said = ""
    try:
        verbs.task_cancel(job_id=found.pk, person=request.user, task=task)
    except VerbImpossible as impossible:
        said = str(impossible)
    return _tasks(request, found, said=said)


def _tasks(request: PersonRequest, job: Job, said: str = "") -> HttpResponse:
    if not job.is_array:
        raise Http404
    state = request.GET.get("state", "")
    page = Paginator(selectors.tasks_of(job, state=state), TASKS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "job": job,
        "page": page,
        "counts": selectors.task_counts(job),
        "state": state,
        "under_way": selectors.tasks_under_way(job),
        "said": said,
        "may_cancel": job.is_open and selectors.may_cancel(request.user, job),
    }
    return render(request, "jobs/_tasks_now.html", context)
