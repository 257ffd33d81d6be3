from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.web.requests import PersonRequest
from quotas.programmes.selectors import programme_list as programmes


@require_safe
@login_required
def programme_list(request: PersonRequest) -> HttpResponse:
    """Who funds what: public money, so every person who is logged in may read it."""
    return render(request, "programmes/list.html", {"programmes": programmes()})
