from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.people.selectors import project_get, projects_of, projects_visible
from portal.web.requests import PersonRequest
from scheduler.jobs import selectors, services
from scheduler.jobs.errors import JobEnded, JobRefused
from scheduler.jobs.forms import FIELD_OF, JobForm, changed, initial_of, presets_here
from scheduler.jobs.models import Job
from scheduler.jobs.paging import JobPaginator
from scheduler.jobs.preflight import Problem
from scheduler.jobs.timeline import charge_of, timeline_of

ROWS_A_PAGE = 50


@require_safe
@login_required
def job_list(request: PersonRequest) -> HttpResponse:
    state, project = request.GET.get("state", ""), request.GET.get("project", "")
    mine = request.GET.get("mine") == "1"
    found = selectors.job_list(request.user, state=state, project=project, mine=mine)
    page = JobPaginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "state": state,
        "project": project,
        "mine": mine,
        "filtered": bool(state or project or mine),
        "states": [("open", _("Not ended")), ("ended", _("Ended")), *Job.State.choices],
        "projects": projects_visible(request.user).order_by("title"),
        "may_submit": projects_of(request.user).exists(),
    }
    return render(request, "jobs/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def job_new(request: PersonRequest) -> HttpResponse:
    """The form. POST submits the job; with `fix` it only changes the form (a preset, a one-click fix)."""
    if request.method != "POST":
        return _form_page(request, JobForm(initial=_initial(request), person=request.user))
    if "fix" in request.POST:
        data = changed(request.POST, request.POST["fix"])
        return _form_page(request, JobForm(initial=data.dict(), person=request.user))
    form = JobForm(request.POST, person=request.user)
    if form.is_valid():
        try:
            job = services.job_submit(person=request.user, **form.submission())
        except JobRefused as refused:
            form.refuse(refused)
        else:
            return redirect("jobs:job", job.pk)
    return _form_page(request, form, status=422)


@require_POST
@login_required
def job_preview(request: PersonRequest) -> HttpResponse:
    """Beside the form, as it is filled in: cost, balance after, what does not fit, the script. Writes nothing."""
    form = JobForm(request.POST, person=request.user)
    form.is_valid()
    draft = _draft(request, form)
    said = [
        Problem("form", field, str(error))
        for field, errors in form.errors.items()
        if field not in ("name", "key")  # the first may still come, the second is not the person's
        for error in errors
    ]
    problems = said + [problem for problem in (draft.problems if draft else ()) if problem.field not in form.errors]
    labels = {name: field.label for name, field in form.fields.items()}
    readable = not {"gpus_per_node", "nodes", "time_limit"} & form.errors.keys()
    context = {
        "verdict": draft.verdict if draft and readable else None,
        "rendered": draft.rendered if draft and readable else "",
        "problems": [(labels.get(FIELD_OF.get(one.field, one.field), ""), one) for one in problems],
    }
    return render(request, "jobs/preview.html", context)


@require_safe
@login_required
def job(request: PersonRequest, pk: UUID) -> HttpResponse:
    found = selectors.job_get(request.user, pk)
    context = _live_context(request, found) | {"may_submit": projects_of(request.user).exists()}
    context["may_read"] = selectors.may_cancel(request.user, found)  # as job_get_readable
    return render(request, "jobs/job.html", context)


@require_safe
@login_required
def job_live(request: PersonRequest, pk: UUID) -> HttpResponse:
    """The part of a job's page that changes. It asks for itself again for as long as the job is not final."""
    return render(request, "jobs/live.html", _live_context(request, selectors.job_get(request.user, pk)))


@require_POST
@login_required
def job_cancel(request: PersonRequest, pk: UUID) -> HttpResponse:
    found = selectors.job_get_cancellable(request.user, pk)
    try:
        cancelled = services.job_cancel(job_id=found.pk, person=request.user)
    except JobEnded as ended:
        messages.warning(request, str(ended))
    else:
        done = cancelled.state == Job.State.CANCELLED
        messages.success(request, _("The job is cancelled.") if done else _("The job is being cancelled."))
    return redirect("jobs:job", pk)


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page: the person's own jobs."""
    if not projects_of(request.user).exists():
        return HttpResponse(status=204)
    context = {"jobs": selectors.jobs_recent(request.user), "title": _("My jobs"), "may_submit": True, "own": True}
    return render(request, "jobs/card.html", context)


@require_safe
@login_required
def project_card(request: PersonRequest, slug: str) -> HttpResponse:
    project = project_get(request.user, slug)
    context = {
        "jobs": selectors.jobs_recent(request.user, project=project),
        "title": _("Jobs"),
        "project": project,
        "may_submit": projects_of(request.user).filter(pk=project.pk).exists(),
    }
    return render(request, "jobs/card.html", context)


# --- parts --------------------------------------------------------------------------------------------------------


def _draft(request: PersonRequest, form: JobForm) -> services.Draft | None:
    """The form as far as it can be read; what cannot be is 0 or empty here, and said by the form."""
    data = form.cleaned_data
    if "allocation" not in data:
        return None
    return services.job_draft(
        person=request.user,
        project=data["allocation"].project,
        allocation=data["allocation"],
        name=data.get("name") or "job",
        gpus_per_node=data.get("gpus_per_node", 0),
        nodes=data.get("nodes", 0),
        time_limit_s=data.get("time_limit", 0),
        script=data.get("script", ""),
    )


def _initial(request: PersonRequest) -> dict[str, object]:
    again = request.GET.get("again", "")
    try:
        job = selectors.job_get(request.user, UUID(again)) if again else None
    except ValueError:
        job = None
    preset = request.GET.get("preset", "")
    if not preset and not Job.objects.filter(person=request.user).exists():
        preset = "hello-gpu"  # a first job is one that works
    return initial_of(preset=preset, allocation=request.GET.get("allocation", ""), again=job)


def _form_page(request: PersonRequest, form: JobForm, status: int = 200) -> HttpResponse:
    choices = selectors.submission_choices(request.user)
    form.offer(choices)
    has_allocation = any(choice.allocations for choice in choices)
    context = {"form": form, "presets": presets_here().values(), "has_allocation": has_allocation}
    return render(request, "jobs/new.html", context, status=status)


def _live_context(request: PersonRequest, found: Job) -> dict[str, object]:
    return {
        "job": found,
        "runs": found.runs.all(),
        "charge": charge_of(found),
        "timeline": timeline_of(found),
        "may_cancel": found.is_open and selectors.may_cancel(request.user, found),
    }
