from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from portal.web.requests import PersonRequest
from scheduler.clusters import selectors
from scheduler.clusters.occupancy import HORIZONS_S
from scheduler.clusters.words import NODE_CLASSES

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
    found = selectors.capacity_get(request.user, name)
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


def _live(found: selectors.Capacity) -> dict[str, object]:
    return {"capacity": found, "cluster": found.cluster, "snapshot": found.snapshot, "horizons_s": HORIZONS_S}
