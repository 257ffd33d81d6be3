from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from scheduler.accounts import selectors
from scheduler.accounts.asking import plan_application_ask
from scheduler.accounts.errors import PlanChanged
from scheduler.accounts.keeping_views import has_worker
from scheduler.accounts.words import action_row, action_rows, note_text, outside_rows, removals_count, removals_text
from scheduler.clusters.models import Cluster


@require_safe
@login_required
def clusters(request: PersonRequest) -> HttpResponse:
    rows = selectors.clusters_overview(request.user)
    return render(request, "accounts/clusters.html", {"rows": rows, "may_keep": is_operator(request.user)})


@require_safe
@login_required
def cluster(request: PersonRequest, name: str) -> HttpResponse:
    found = selectors.cluster_get(request.user, name)
    return render(request, "accounts/cluster.html", _live(request, found) | {"has_worker": has_worker(found)})


@require_safe
@login_required
def cluster_live(request: PersonRequest, name: str) -> HttpResponse:
    """What the page asks for again every few seconds."""
    return render(request, "accounts/live.html", _live(request, selectors.cluster_get(request.user, name)))


@require_POST
@login_required
def apply(request: PersonRequest, name: str) -> HttpResponse:
    found = selectors.cluster_get(request.user, name)
    if not is_operator(request.user):
        raise Http404
    try:
        plan_application_ask(cluster=found, digest=request.POST.get("digest", ""), actor=request.user)
        messages.success(request, _("The cluster's worker was asked to apply the plan. This page shows when it did."))
    except PlanChanged:
        messages.warning(request, _("The plan has changed since you saw it. Look at it again."))
    return redirect("accounts:cluster", name)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def repair(request: PersonRequest, name: str) -> HttpResponse:
    """One object of the plan: what differs, who changed it by hand, and the button that makes it right."""
    found = selectors.cluster_get(request.user, name)
    if not is_operator(request.user):
        raise Http404
    given = request.POST if request.method == "POST" else request.GET
    only = given.get("kind", ""), given.get("object", "")
    if request.method == "POST":
        try:
            plan_application_ask(cluster=found, digest=request.POST.get("digest", ""), actor=request.user, only=only)
            messages.success(request, _("The worker was asked to repair it. This page shows what it reads back."))
        except PlanChanged:
            messages.warning(request, _("The plan has changed since you saw it. Look at it again."))
        return redirect("accounts:cluster", name)
    stored = selectors.stored_plan(found)
    action = selectors.action_of(stored, *only) if stored else None
    if stored is None or action is None:
        messages.success(request, _("There is nothing to repair there any more."))
        return redirect("accounts:cluster", name)
    context = {
        "cluster": found,
        "stored": stored,
        "action": action_row(action),
        "outside": outside_rows(selectors.outside_changes(found, names=only[1].split("/")[:1])),
    }
    return render(request, "accounts/repair.html", context)


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """For home pages: what needs an operator's look; nothing otherwise."""
    rows = [row for row in selectors.clusters_overview(request.user) if row.problems]
    if not rows:
        return HttpResponse(status=204)
    return render(request, "accounts/card.html", {"rows": rows})


def _live(request: PersonRequest, found: Cluster) -> dict[str, object]:
    stored = selectors.stored_plan(found)
    removals = removals_count(stored) if stored else 0
    return {
        "cluster": found,
        "snapshot": selectors.snapshot_of(found),
        "stored": stored,
        "actions": action_rows(stored) if stored else [],
        "notes": [note_text(note) for note in stored.notes] if stored else [],
        "removals": removals,
        "removals_text": removals_text(removals),
        "limits": selectors.limit_rows(found),
        "outside": outside_rows(selectors.outside_changes(found)),
        "may_apply": is_operator(request.user),
    }
