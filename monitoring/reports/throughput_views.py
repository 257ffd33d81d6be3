from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from monitoring.reports import selectors
from monitoring.reports.asked import days_form, days_query, shortcuts_of
from monitoring.reports.tables import ROWS_A_PAGE
from monitoring.reports.throughput import parts_of, rows_of, spreadsheet_rows
from monitoring.reports.views import bad_days, csv_answer
from monitoring.rollups.selectors import throughput_of
from portal.spreadsheet import csv_text
from portal.web.requests import PersonRequest


@require_safe
@login_required
def throughput(request: PersonRequest, slug: str) -> HttpResponse:
    """What the organisation's GPU-time delivered in FP8, for those who read its report."""
    found = selectors.organisation_reported(request.user, slug)
    form = days_form(request)
    if not form.is_valid():
        return bad_days(request, found, form, "reports/throughput.html")
    report = throughput_of(found, form.days)
    query = days_query(form.days)
    context = {
        "organisation": found,
        "form": form,
        "shortcuts": shortcuts_of(form.days),
        "report": report,
        "parts": parts_of(report),
        "page": Paginator(rows_of(report), ROWS_A_PAGE).get_page(request.GET.get("page")),
        "zone": settings.CENTRE_TIME_ZONE,
        "permanent_link": query,
        "csv_url": reverse("reports:throughput_csv", args=[slug]) + query,
    }
    return render(request, "reports/throughput.html", context)


@require_safe
@login_required
def throughput_csv(request: PersonRequest, slug: str) -> HttpResponse:
    """Every day of the page's range."""
    found = selectors.organisation_reported(request.user, slug)
    form = days_form(request)
    if not form.is_valid():
        return bad_days(request, found, form, "reports/throughput.html")
    text = csv_text(spreadsheet_rows(throughput_of(found, form.days)))
    return csv_answer(text, f"saola-fp8-{slug}-{form.days.first}-{form.days.last}.csv")
