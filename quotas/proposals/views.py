from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.web.requests import PersonRequest
from quotas.proposals import selectors


@require_safe
@login_required
def detail(request: PersonRequest, pk: UUID) -> HttpResponse:
    return render(request, "proposals/detail.html", {"proposal": selectors.proposal_get(request.user, pk)})
