from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import is_operator
from portal.people.selectors import project_get, projects_of, projects_visible
from portal.web.registry import job_cards, job_list_cards, job_notes
from portal.web.requests import PersonRequest
from scheduler.clusters.slices import slices_read
from scheduler.jobs import selectors, services
from scheduler.jobs.choosing import outlook_text
from scheduler.jobs.data_sets import data_sets_used
from scheduler.jobs.errors import JobEnded
from scheduler.jobs.models import Job
from scheduler.jobs.paging import JobPaginator
from scheduler.jobs.shell import line_of_job, lines_for
from scheduler.jobs.starts.shown import planned_start
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
        "several_clusters": len(settings.CLUSTERS) > 1,
        "cards": job_list_cards.place(request.user),
    }
    return render(request, "jobs/list.html", context)


@require_safe
@login_required
def job(request: PersonRequest, pk: UUID) -> HttpResponse:
    found = selectors.job_get(request.user, pk)
    context = _live_context(request, found) | {"may_submit": projects_of(request.user).exists()}
    context["data_sets"] = data_sets_used(found)
    context["share"] = slices_read().get(found.gpu_type)
    context["shell_line"] = line_of_job(found) if found.partition else ""
    context["chosen"] = [row | {"why": outlook_text(row)} for row in found.chosen.get("among", [])]
    context["serves"] = found.preset_name == "jupyter"
    context["cards"] = job_cards.place(request.user, found.pk)
    context["notes"] = job_notes.place(request.user, found.pk)
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


@require_safe
@login_required
def project_shell(request: PersonRequest, slug: str) -> HttpResponse:
    """For the members of a project who have an account on the cluster; nothing for others."""
    project = project_get(request.user, slug)
    lines = lines_for(request.user, project) if request.user.unix_account else []
    if not lines:
        return HttpResponse(status=204)
    return render(request, "jobs/shell_card.html", {"lines": lines})


# --- parts --------------------------------------------------------------------------------------------------------


def _live_context(request: PersonRequest, found: Job) -> dict[str, object]:
    return {
        "job": found,
        "runs": found.runs.all(),
        "charge": charge_of(found),
        "timeline": timeline_of(found),
        "planned": planned_start(found),
        "may_cancel": found.is_open and selectors.may_cancel(request.user, found),
        "may_free": found.is_open and is_operator(request.user),
    }
