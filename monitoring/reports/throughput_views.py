"""GPU telemetry of an organisation, a project or the nation: a page, and files of exactly what it shows."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from monitoring.days import last_30_days
from monitoring.reports import selectors, subjects
from monitoring.reports.answers import BAD_DAYS, FORMATS, file_answer
from monitoring.reports.asked import days_form, days_query, shortcuts_of
from monitoring.reports.documents import document_of
from monitoring.reports.forms import DaysForm
from monitoring.reports.ranking import ORDERS, ranked, runs_ranked
from monitoring.reports.subjects import Subject, purpose_word
from monitoring.reports.tables import ROWS_A_PAGE
from monitoring.reports.throughput import Range, parts_of, rows_of, spreadsheet_rows
from monitoring.reports.waterfall import steps_of
from monitoring.rollups.selectors import organisations_at_work, throughput_of_project, together
from portal.clock import centre_date, now
from portal.people.rules import is_operator, reads_everything
from portal.people.selectors import project_get
from portal.web.requests import PersonRequest

PAGE = "reports/throughput.html"


@require_safe
@login_required
def throughput(request: PersonRequest, slug: str) -> HttpResponse:
    """For those who read the organisation's report."""
    return _page(request, subjects.of_organisation(selectors.organisation_reported(request.user, slug)))


@require_safe
@login_required
def throughput_file(request: PersonRequest, slug: str, format: str) -> HttpResponse:
    return _file(request, subjects.of_organisation(selectors.organisation_reported(request.user, slug)), format)


@require_safe
@login_required
def project(request: PersonRequest, slug: str) -> HttpResponse:
    """For those who see the project."""
    return _page(request, subjects.of_project(project_get(request.user, slug)))


@require_safe
@login_required
def project_file(request: PersonRequest, slug: str, format: str) -> HttpResponse:
    return _file(request, subjects.of_project(project_get(request.user, slug)), format)


@require_safe
@login_required
def project_jobs(request: PersonRequest, slug: str) -> HttpResponse:
    """Its runs by what of their GPU-time was lost."""
    found = project_get(request.user, slug)
    subject = subjects.of_project(found)
    form = days_form(request)
    order = ORDERS[1] if request.GET.get("by") == ORDERS[1] else ORDERS[0]
    if not form.is_valid():
        return _bad(request, subject, form, "reports/jobs.html")
    page = Paginator(runs_ranked(found, form.days, order), ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "subject": subject,
        "form": form,
        "shortcuts": shortcuts_of(form.days),
        "days": days_query(form.days),
        "order": order,
        "page": page,
        "rows": ranked(list(page.object_list)),
    }
    return render(request, "reports/jobs.html", context)


@require_safe
@login_required
def project_card(request: PersonRequest, slug: str) -> HttpResponse:
    """On the project's page: how much of the last 30 days was useful."""
    found = project_get(request.user, slug)
    days = last_30_days(centre_date(now()))
    report = throughput_of_project(found, days)
    if not report.by_type:
        return HttpResponse(status=204)
    subject = subjects.of_project(found)
    context = {"subject": subject, "parts": parts_of(report), "days": days_query(days)}
    return render(request, "reports/project_card.html", context)


@require_safe
@login_required
def nation(request: PersonRequest) -> HttpResponse:
    """All figures of the nation, of any days: for those who run the centre or check it."""
    _reader(request)
    return _page(request, subjects.of_nation())


@require_safe
@login_required
def nation_file(request: PersonRequest, format: str) -> HttpResponse:
    _reader(request)
    return _file(request, subjects.of_nation(), format)


# --- parts --------------------------------------------------------------------------------------------------------


def _reader(request: PersonRequest) -> None:
    if not reads_everything(request.user):
        raise Http404


def _page(request: PersonRequest, subject: Subject) -> HttpResponse:
    form = days_form(request)
    if not form.is_valid():
        return _bad(request, subject, form, PAGE)
    found = subject.telemetry(form.days)
    query = days_query(form.days)
    report = found.report
    parts = parts_of(report)
    context = {
        "subject": subject,
        "form": form,
        "shortcuts": shortcuts_of(form.days),
        "report": report,
        "parts": parts,
        "falls": [(part, steps_of(part.total.found)) for part in parts],
        "energy": [(part, found.energy.by_type[part.gpu_type]) for part in parts],
        "energy_report": found.energy,
        "may_enter": is_operator(request.user),
        "reads_factors": reads_everything(request.user),
        "page": Paginator(rows_of(report), ROWS_A_PAGE).get_page(request.GET.get("page")),
        "zone": settings.CENTRE_TIME_ZONE,
        "permanent_link": query,
        "files": [(format.upper(), subject.file_address(format) + query) for format in FORMATS],
        "jobs_url": subject.jobs_address and subject.jobs_address + query,
    }
    if subject.is_nation:
        sums = together(report.by_type.values())
        context |= {
            "together": Range.of(sums.fp8),
            "without": ", ".join(sums.unknown).upper(),
            "organisations": organisations_at_work(form.days),
            "purposes": [
                (title, name, _purpose_rows(name, by))
                for title, name, by in (
                    (_("By sector"), "sector", found.sectors),
                    (_("By product group"), "product_group", found.product_groups),
                )
            ],
        }
    return render(request, PAGE, context)


def _purpose_rows(name: str, by: subjects.ByPurpose) -> list[tuple[str, Range, str]]:
    rows = []
    for key, by_type in by.items():
        sums = together(by_type.values())
        rows.append((purpose_word(name, key), Range.of(sums.fp8), ", ".join(sums.unknown).upper()))
    return sorted(rows, key=lambda row: -(row[1].allocated_peak or 0))


def _file(request: PersonRequest, subject: Subject, format: str) -> HttpResponse:
    if format not in FORMATS:
        raise Http404
    form = days_form(request)
    if not form.is_valid():
        return _bad(request, subject, form, PAGE)
    found = subject.telemetry(form.days)
    name = f"saola-fp8-{subject.slug}-{form.days.first}-{form.days.last}"
    rows = spreadsheet_rows(found.report, found.energy) if format == "csv" else []
    return file_answer(name, format, rows, lambda: document_of(found, on_paper=format == "pdf"))


def _bad(request: PersonRequest, subject: Subject, form: DaysForm, template: str) -> HttpResponse:
    context = {"subject": subject, "form": form, "shortcuts": shortcuts_of(None)}
    return render(request, template, context, status=BAD_DAYS)
