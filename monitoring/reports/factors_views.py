"""PUE and the grid's emission factor: read by those who run the centre or check it, entered by operators."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from monitoring.reports import services
from monitoring.reports.energy import factors_read, published
from monitoring.reports.forms import FactorForm
from monitoring.reports.models import EnergyFactor
from portal.clock import centre_date, now
from portal.people.rules import is_operator, reads_everything
from portal.web.requests import PersonRequest


@require_safe
@login_required
def factors(request: PersonRequest) -> HttpResponse:
    if not reads_everything(request.user):
        raise Http404
    return _page(request, FactorForm())


@require_POST
@login_required
def factor_enter(request: PersonRequest) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    form = FactorForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    services.factor_enter(person=request.user, **form.cleaned_data)
    messages.success(request, _("Entered. Reports of the days from then on use it."))
    return redirect("reports:factors")


def _page(request: PersonRequest, form: FactorForm, *, status: int = 200) -> HttpResponse:
    pue, grid = factors_read().on(centre_date(now()))
    context = {
        "form": form,
        "may_enter": is_operator(request.user),
        "pue": pue,
        "grid": grid,
        "rows": EnergyFactor.objects.select_related("entered_by"),
        "published": sorted(published(), key=lambda one: one.valid_from, reverse=True),
    }
    return render(request, "reports/factors.html", context, status=status)
