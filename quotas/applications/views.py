from collections.abc import Callable
from datetime import timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.clock import centre_date, now
from portal.people.rules import manages_any
from portal.web.requests import PersonRequest
from quotas.applications import selectors, services
from quotas.applications.errors import ApplicationError
from quotas.applications.forms import ApplicationForm
from quotas.applications.models import Application
from quotas.applications.registry import application_cards

ROWS_A_PAGE = 50
CARD_ROWS = 5


@require_safe
@login_required
def application_list(request: PersonRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    page = Paginator(selectors.application_list(request.user, state=state), ROWS_A_PAGE)
    context = {
        "page": page.get_page(request.GET.get("page")),
        "state": state,
        "states": Application.State.choices,
        "may_apply": manages_any(request.user),
    }
    return render(request, "applications/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def submit(request: PersonRequest) -> HttpResponse:
    if not manages_any(request.user):
        raise Http404
    today = centre_date(now())
    initial: dict[str, object] = {"starts_on": today, "ends_on": today + timedelta(days=364)}
    initial |= {name: request.GET[name] for name in ("gpu_type", "gpu_hours") if name in request.GET}  # the estimator's
    form = ApplicationForm(request.POST or None, person=request.user, initial=initial)
    if request.method != "POST":
        return render(request, "applications/submit.html", {"form": form})
    made: list[Application] = []
    if _done(form, lambda: made.append(services.application_submit(person=request.user, **form.cleaned_data))):
        messages.success(request, _("The application was submitted. You get a mail when it is decided."))
        return redirect("applications:detail", made[0].pk)
    return render(request, "applications/submit.html", {"form": form}, status=422)


@require_safe
@login_required
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get(request.user, pk)
    context = {
        "application": application,
        "may_withdraw": selectors.may_withdraw(request.user, application),
        "cards": application_cards.place(request.user, pk),
    }
    return render(request, "applications/detail.html", context)


@require_POST
@login_required
def withdraw(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_own(request.user, pk)
    try:
        services.application_withdraw(person=request.user, application=application)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The application was withdrawn."))
    return redirect("applications:detail", pk)


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page: a manager's own applications."""
    if not manages_any(request.user):
        return HttpResponse(status=204)
    return render(request, "applications/card.html", {"rows": selectors.application_list(request.user)[:CARD_ROWS]})


# --- parts --------------------------------------------------------------------------------------------------------


def _done(form: forms.Form, service: Callable[[], object]) -> bool:
    """Runs a service with a valid form; what it refuses becomes an error beside its field."""
    if not form.is_valid():
        return False
    try:
        service()
    except ApplicationError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return False
    return True
