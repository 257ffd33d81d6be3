from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from monitoring.days import last_30_days
from monitoring.reports import selectors
from monitoring.reports.answers import BAD_DAYS, FORMATS, file_answer
from monitoring.reports.asked import days_form, days_query, shortcuts_of
from monitoring.reports.chart import charts_of
from monitoring.reports.forms import DaysForm
from monitoring.reports.tables import ROWS_A_PAGE, balance_figures, spreadsheet_rows, usage_tables
from monitoring.reports.usage_document import usage_document
from portal.clock import centre_date, now
from portal.people.models import Organisation
from portal.people.selectors import organisation_get, organisations_managed
from portal.web.requests import PersonRequest
from portal.web.templatetags.ui import gpu_hours


@require_safe
@login_required
def report_list(request: PersonRequest) -> HttpResponse:
    """The reports that the person may read; with one only, that one."""
    found = selectors.organisations_reported(request.user).order_by("name", "id")
    first = list(found[:2])
    if not first:
        raise Http404
    if len(first) == 1:
        return redirect("reports:organisation", first[0].slug)
    page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "reports/list.html", {"page": page})


@require_safe
@login_required
def organisation(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.organisation_reported(request.user, slug)
    form = days_form(request)
    if not form.is_valid():
        return bad_days(request, found, form, "reports/organisation.html")
    usage = selectors.usage_report(found, form.days)
    query = days_query(form.days)
    context = {
        "organisation": found,
        "form": form,
        "shortcuts": shortcuts_of(form.days),
        "usage": usage,
        "balances": [(gpu_type, _figures(gpu_type, usage)) for gpu_type in usage.balances],
        "zone": settings.CENTRE_TIME_ZONE,
        "charts": charts_of(usage),
        "tables": usage_tables(usage, request.GET),
        "permanent_link": query,
        "files": [
            (format.upper(), reverse("reports:organisation_file", args=[slug, format]) + query) for format in FORMATS
        ],
    }
    return render(request, "reports/organisation.html", context)


@require_safe
@login_required
def organisation_file(request: PersonRequest, slug: str, format: str) -> HttpResponse:
    """Every row of what the page shows for the same days."""
    if format not in FORMATS:
        raise Http404
    found = selectors.organisation_reported(request.user, slug)
    form = days_form(request)
    if not form.is_valid():
        return bad_days(request, found, form, "reports/organisation.html")
    usage = selectors.usage_report(found, form.days)
    tables = usage_tables(usage, request.GET)
    name = f"saola-{slug}-{form.days.first}-{form.days.last}"
    rows = spreadsheet_rows(usage, tables) if format == "csv" else []
    return file_answer(name, format, rows, lambda: usage_document(usage, tables))


@require_safe
@login_required
def organisation_card(request: PersonRequest, slug: str) -> HttpResponse:
    """On the organisation's page, which members see too: nothing for those who may not read the report."""
    found = organisation_get(request.user, slug)
    if not selectors.organisations_reported(request.user).filter(pk=found.pk).exists():
        return HttpResponse(status=204)
    return _card(request, [found])


@require_safe
@login_required
def home_card(request: PersonRequest) -> HttpResponse:
    """On the home page of those who manage organisations."""
    return _card(request, organisations_managed(request.user))


# --- parts --------------------------------------------------------------------------------------------------------


def _card(request: PersonRequest, organisations: Iterable[Organisation]) -> HttpResponse:
    days = last_30_days(centre_date(now()))
    reports = [selectors.usage_report(organisation, days) for organisation in organisations]
    parts = [(usage, charts_of(usage), days_query(days)) for usage in reports if usage.balances]
    return render(request, "reports/card.html", {"parts": parts}) if parts else HttpResponse(status=204)


def _figures(gpu_type: str, usage: selectors.Usage) -> list[tuple[str, int, str, str]]:
    """Label, GPU-seconds, hint and tone of the six figures."""
    balance = usage.balances[gpu_type]
    hints: dict[str, tuple[str, str]] = {}
    if balance.overrun:
        hints["overrun"] = _("borne by the centre"), "warn"
    if usage.imported_gpu_seconds[gpu_type]:
        hints["consumed"] = (
            _("%(hours)s of it imported history") % {"hours": gpu_hours(usage.imported_gpu_seconds[gpu_type])},
            "",
        )
    if balance.withdrawals_pending:
        hints["remaining"] = (
            _("%(hours)s of it being withdrawn") % {"hours": gpu_hours(balance.withdrawals_pending)},
            "",
        )
    return [(label, amount, *hints.get(name, ("", ""))) for name, label, amount in balance_figures(balance)]


def bad_days(request: PersonRequest, found: Organisation, form: DaysForm, template: str) -> HttpResponse:
    context = {"organisation": found, "form": form, "shortcuts": shortcuts_of(None)}
    return render(request, template, context, status=BAD_DAYS)
