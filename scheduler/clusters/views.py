from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import is_operator, reads_everything
from portal.web.requests import PersonRequest
from scheduler.clusters import selectors
from scheduler.clusters.errors import NodeNotOut
from scheduler.clusters.models import Cluster
from scheduler.clusters.occupancy import HORIZONS_S
from scheduler.clusters.reserved import reservations_of_project
from scheduler.clusters.upkeep import node_resume_ask, nodes_out, orders_last
from scheduler.clusters.words import NODE_CLASSES, node_order_text, node_reason_text

NODES_A_PAGE = 50


@require_safe
@login_required
def capacities(request: PersonRequest) -> HttpResponse:
    names = list(selectors.clusters_shown(request.user).values_list("name", flat=True))
    if len(names) == 1:
        return redirect("clusters:capacity", names[0])
    found = [selectors.capacity_get(request.user, name) for name in names]
    return render(request, "clusters/capacities.html", {"capacities": found})


@require_safe
@login_required
def capacity(request: PersonRequest, name: str) -> HttpResponse:
    found = selectors.capacity_get(request.user, name, with_nodes=True)
    kind = request.GET.get("nodes", "")
    kind = kind if kind in NODE_CLASSES else ""
    page = Paginator(selectors.nodes_of(found.cluster, kind), NODES_A_PAGE).get_page(request.GET.get("page"))
    about = {"page": page, "kind": kind, "words": NODE_CLASSES}
    return render(request, "clusters/capacity.html", _live(found) | about)


@require_safe
@login_required
def capacity_live(request: PersonRequest, name: str) -> HttpResponse:
    """What the page asks for again by itself: the database's last look, however many people watch."""
    return render(request, "clusters/live.html", _live(selectors.capacity_get(request.user, name)))


@require_safe
@login_required
def project_reservations(request: PersonRequest, slug: str) -> HttpResponse:
    """On a project's page: where its jobs may run alone. Nothing for most projects."""
    rows = reservations_of_project(request.user, slug)
    if not rows:
        return HttpResponse(status=204)
    return render(request, "clusters/project_reservations.html", {"rows": rows})


@require_safe
@login_required
def cluster_nodes_out(request: PersonRequest, name: str) -> HttpResponse:
    """On the operators' page of a cluster: nodes that are out, and what came of the last orders."""
    cluster = selectors.cluster_get_of_centre(request.user, name)
    context = _nodes_out(cluster) | {
        "orders": [(order, node_order_text(order)) for order in orders_last(cluster)],
        "may_resume": is_operator(request.user),
    }
    return render(request, "clusters/nodes_out.html", context)


@require_safe
@login_required
def nodes_out_card(request: PersonRequest) -> HttpResponse:
    """On the home page of the centre's people: nothing while every node is in service."""
    if not reads_everything(request.user):
        raise Http404
    found = [_nodes_out(cluster) for cluster in selectors.clusters_shown(request.user)]
    found = [one for one in found if one["rows"]]
    if not found:
        return HttpResponse(status=204)
    return render(request, "clusters/nodes_out_card.html", {"clusters": found, "words": NODE_CLASSES})


@require_POST
@login_required
def node_resume(request: PersonRequest, name: str) -> HttpResponse:
    cluster = selectors.cluster_get_of_centre(request.user, name)
    if not is_operator(request.user):
        raise Http404
    node, seen = request.POST.get("node", ""), request.POST.get("seen", "")
    try:
        node_resume_ask(cluster=cluster, node=node, seen=seen, person=request.user)
    except NodeNotOut as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, _("Slurm is being asked; the page shows what comes of it."))
    return redirect("accounts:cluster", name)


def _nodes_out(cluster: Cluster) -> dict[str, object]:
    rows = [(row, node_reason_text(row.words)) for row in nodes_out(cluster)]
    return {"cluster": cluster, "rows": rows, "words": NODE_CLASSES}


def _live(found: selectors.Capacity) -> dict[str, object]:
    return {"capacity": found, "cluster": found.cluster, "snapshot": found.snapshot, "horizons_s": HORIZONS_S}
