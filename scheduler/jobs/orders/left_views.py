"""Jobs that Slurm holds by itself, for the centre's people: who sees them, and the operator's release."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import is_operator, reads_everything
from portal.web.requests import PersonRequest
from scheduler.clusters.models import Cluster
from scheduler.clusters.selectors import cluster_get_of_centre
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.orders import verbs
from scheduler.jobs.selectors import job_get_cancellable, runaways, slurm_holds

SHOWN = 50


@require_safe
@login_required
def left(request: PersonRequest, name: str) -> HttpResponse:
    """On the operators' page of a cluster. It asks for itself again."""
    cluster = cluster_get_of_centre(request.user, name)
    found = slurm_holds(request.user).filter(job__cluster=cluster)
    context = {
        "cluster": cluster,
        "holds": found[:SHOWN],
        "count": found.count(),
        "runaways": runaways(request.user).filter(cluster=cluster)[:SHOWN],
        "may_free": is_operator(request.user),
    }
    return render(request, "jobs/left.html", context)


@require_safe
@login_required
def left_card(request: PersonRequest) -> HttpResponse:
    """On the home page of the centre's people: nothing while Slurm leaves nothing to them."""
    if not reads_everything(request.user):
        raise Http404
    holds, forgotten = list(slurm_holds(request.user)[:SHOWN]), list(runaways(request.user)[:SHOWN])
    if not holds and not forgotten:
        return HttpResponse(status=204)
    return render(request, "jobs/left_card.html", {"holds": holds, "runaways": forgotten})


@require_POST
@login_required
def job_free(request: PersonRequest, pk: UUID) -> HttpResponse:
    found = job_get_cancellable(_operator(request).user, pk)
    try:
        verbs.job_free(job_id=found.pk, person=request.user)
    except VerbImpossible as impossible:
        messages.warning(request, str(impossible))
    else:
        messages.success(request, _("Slurm is being asked; the page shows what comes of it."))
    if request.POST.get("back") == "cluster":
        return redirect("accounts:cluster", found.cluster.name)
    return redirect("jobs:job", pk)


@require_POST
@login_required
def all_free(request: PersonRequest, name: str) -> HttpResponse:
    """Every job that Slurm holds on a cluster: after the death of a daemon, say."""
    cluster = cluster_get_of_centre(_operator(request).user, name)
    asked = sum(_freed(request, pk) for pk in _jobs_held(request, cluster))
    text = ngettext("Slurm is asked to release %(n)d job.", "Slurm is asked to release %(n)d jobs.", asked)
    messages.success(request, text % {"n": asked})
    return redirect("accounts:cluster", name)


def _jobs_held(request: PersonRequest, cluster: Cluster) -> list[UUID]:
    return list(slurm_holds(request.user).filter(job__cluster=cluster).values_list("job", flat=True))


def _freed(request: PersonRequest, pk: UUID) -> bool:
    try:
        verbs.job_free(job_id=pk, person=request.user)
    except VerbImpossible:
        return False
    return True


def _operator(request: PersonRequest) -> PersonRequest:
    if not is_operator(request.user):
        raise Http404
    return request
