from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.audit import selectors
from portal.audit.forms import FilterForm
from portal.web.requests import PersonRequest


@require_safe
@login_required
def events(request: PersonRequest) -> HttpResponse:
    form = FilterForm(request.GET)
    page, older = selectors.event_page(request.user, form.filters(request.GET.get("before", "")))
    context = {"form": form, "events": page, "older": older, "newest": not request.GET.get("before")}
    return render(request, "audit/events.html", context)
