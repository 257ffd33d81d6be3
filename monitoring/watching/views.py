from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from monitoring.watching import selectors, services
from monitoring.watching.health import health
from monitoring.watching.models import Finding
from monitoring.watching.services import is_cancelled_by_rule
from monitoring.watching.words import ICONS, STATES, said, subject_text
from portal.people.rules import is_operator, reads_everything
from portal.web.requests import PersonRequest
from quotas.programmes.models import Programme
from scheduler.clusters.errors import NodeNotIn
from scheduler.clusters.models import Cluster
from scheduler.clusters.upkeep import node_drain_ask
from scheduler.jobs.selectors import job_row_get, may_cancel

ROWS_A_PAGE = 50
ROWS_ON_A_CARD = 8
CHOICES = {"yes": True, "no": False, "": None}


@require_safe
@login_required
def finding_list(request: PersonRequest) -> HttpResponse:
    _centre(request)
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "")
    found = selectors.finding_list(request.user, kind=kind, state=state)
    page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [_row(one) for one in page.object_list],
        "kind": kind,
        "state": state,
        "kinds": Finding.Kind.choices,
        "states": Finding.State.choices,
    }
    return render(request, "watching/list.html", context)


@require_safe
@login_required
def finding(request: PersonRequest, pk: int) -> HttpResponse:
    """One finding: what is so, since when, who was told, and the next step."""
    found = selectors.finding_get(request.user, pk)
    operates = is_operator(request.user) and found.is_open
    context = _row(found) | {
        "icon_name": ICONS[found.kind],
        "may_acknowledge": operates and found.state != Finding.State.ACKNOWLEDGED,
        "may_drain": operates and found.kind == Finding.Kind.SICK and selectors.node_in_service(found),
        "cancels": is_cancelled_by_rule(found),
        "step_s": settings.WATCH_STEP_S,
    }
    return render(request, "watching/finding.html", context)


@require_POST
@login_required
def acknowledge(request: PersonRequest, pk: int) -> HttpResponse:
    _operator(request)
    found = selectors.finding_get(request.user, pk)
    if services.finding_acknowledge(finding_id=found.pk, person=request.user):
        messages.success(request, _("It is yours now: nobody is told any more. It closes by itself when it is gone."))
    else:
        messages.info(request, _("Somebody sees to it already, or it is gone."))
    return redirect("watching:finding", pk)


@require_POST
@login_required
def drain(request: PersonRequest, pk: int) -> HttpResponse:
    """Takes the node of a sick GPU out: an operator's click, by the ordinary order for nodes."""
    _operator(request)
    found = selectors.finding_get(request.user, pk)
    if found.kind != Finding.Kind.SICK:
        raise Http404
    reason = f"saola: {', '.join(found.evidence.get('reasons', []))} ({found.subject})"
    try:
        node_drain_ask(cluster=found.cluster, node=found.node, reason=reason, person=request.user)
    except NodeNotIn as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, _("Slurm is being asked; the page of the cluster shows what comes of it."))
    return redirect("watching:finding", pk)


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page of the centre's people: nothing while there is nothing to see to."""
    _centre(request)
    found = selectors.finding_list(request.user)
    rows = [_row(one) for one in found[:ROWS_ON_A_CARD]]
    if not rows:
        return HttpResponse(status=204)
    return render(request, "watching/card.html", {"rows": rows, "count": found.count()})


@require_safe
@login_required
def mine(request: PersonRequest) -> HttpResponse:
    """Above the list of jobs: what the person should see to."""
    rows = [_row(one) for one in selectors.findings_mine(request.user)[:ROWS_ON_A_CARD]]
    return render(request, "watching/mine.html", {"rows": rows}) if rows else HttpResponse(status=204)


@require_safe
@login_required
def job(request: PersonRequest, pk: UUID) -> HttpResponse:
    """On a job's page, for everybody who sees the job. It asks for itself again while the job goes on."""
    found = job_row_get(request.user, pk)
    rows = [_row(one) for one in selectors.findings_of_job(found)]
    version = ",".join(f"{row['finding'].pk}-{row['finding'].warned}-{row['finding'].state}" for row in rows) or "none"
    if request.GET.get("seen") == version:
        return HttpResponse(status=204)
    if not found.is_open and not rows:
        return HttpResponse(status=204)
    context = {
        "job": found,
        "rows": rows,
        "version": version,
        "may_cancel": found.is_open and may_cancel(request.user, found),
        "centre": reads_everything(request.user),
        "cancels": any(is_cancelled_by_rule(row["finding"]) for row in rows),
        "step_s": settings.WATCH_STEP_S,
    }
    return render(request, "watching/job.html", context)


@require_safe
@login_required
def measuring(request: PersonRequest) -> HttpResponse:
    """How the measuring itself is. It asks for itself again."""
    _centre(request)
    template = "watching/measuring_now.html" if request.headers.get("HX-Request") else "watching/measuring.html"
    return render(request, template, {"health": health()})


@require_safe
@login_required
def rules(request: PersonRequest) -> HttpResponse:
    """Where the portal itself cancels jobs that leave their GPUs idle."""
    _centre(request)
    context = {
        "rows": selectors.cancel_rules(),
        "may_set": is_operator(request.user),
        "window_s": settings.WATCH_IDLE_WINDOW_S,
        "step_s": settings.WATCH_STEP_S,
    }
    return render(request, "watching/rules.html", context)


@require_POST
@login_required
def rule_set(request: PersonRequest) -> HttpResponse:
    _operator(request)
    kind, slug, chosen = (request.POST.get(name, "") for name in ("kind", "of", "cancels"))
    if chosen not in CHOICES or kind not in ("cluster", "programme"):
        raise Http404
    if kind == "cluster":
        cluster = get_object_or_404(Cluster, name=slug)
        services.cancel_rule_set(cluster=cluster, cancels=CHOICES[chosen], person=request.user)
    else:
        programme = get_object_or_404(Programme, slug=slug)
        services.cancel_rule_set(programme=programme, cancels=CHOICES[chosen], person=request.user)
    messages.success(request, _("The rule is set."))
    return redirect("watching:rules")


# --- parts ----------------------------------------------------------------------------------------------------------


def _row(found: Finding) -> dict[str, Any]:
    tone, icon = STATES[found.state]
    return {"finding": found, "said": said(found), "subject": subject_text(found), "tone": tone, "state_icon": icon}


def _centre(request: PersonRequest) -> None:
    if not reads_everything(request.user):
        raise Http404


def _operator(request: PersonRequest) -> None:
    if not is_operator(request.user):
        raise Http404
