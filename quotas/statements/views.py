from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import is_operator, reads_everything
from portal.people.selectors import organisation_get
from portal.web.requests import PersonRequest
from quotas.statements import selectors, services
from quotas.statements.errors import StatementError
from quotas.statements.forms import CorrectionForm
from quotas.statements.models import Statement, StatementFile
from quotas.statements.months import Month
from quotas.statements.renderers.document import document_of, month_text, movement_labels

STATEMENTS_A_PAGE = 12  # a year
ROWS_A_PAGE = 50
CARD_ROWS = 3
TYPES = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}


@require_safe
@login_required
def statement_list(request: PersonRequest) -> HttpResponse:
    """The months, for those who read everything; the own organisations, for managers; with one only, that one."""
    if reads_everything(request.user):
        months = Paginator(selectors.months(request.user), STATEMENTS_A_PAGE).get_page(request.GET.get("page"))
        context = {"page": months, "rows": selectors.month_rows(months.object_list)}
        return render(request, "statements/months.html", context)
    found = selectors.organisations_stated(request.user).order_by("name", "id")
    first = list(found[:2])
    if not first:
        raise Http404
    if len(first) == 1:
        return redirect("statements:organisation", first[0].slug)
    page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "statements/organisations.html", {"page": page})


@require_safe
@login_required
def organisation(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.organisation_stated(request.user, slug)
    page = Paginator(selectors.statement_list(found), STATEMENTS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "organisation": found,
        "page": page,
        "files_each": selectors.FILES_EACH,
    }
    return render(request, "statements/organisation.html", context)


@require_safe
@login_required
def organisation_card(request: PersonRequest, slug: str) -> HttpResponse:
    """On the organisation's page, which members see too: nothing for those who may not read its statements."""
    found = organisation_get(request.user, slug)
    if not selectors.organisations_stated(request.user).filter(pk=found.pk).exists():
        return HttpResponse(status=204)
    rows = list(selectors.statement_list(found)[:CARD_ROWS])
    if not rows:
        return HttpResponse(status=204)
    return render(request, "statements/card.html", {"organisation": found, "rows": rows})


@require_safe
@login_required
def statement(request: PersonRequest, number: str) -> HttpResponse:
    return _page(request, selectors.statement_get(request.user, number))


@require_safe
@login_required
def download(request: PersonRequest, number: str, language: str, format: str) -> HttpResponse:
    """An issued file, byte for byte."""
    stored = selectors.file_get(request.user, number, format, language)
    response = HttpResponse(bytes(stored.content), content_type=TYPES[stored.format])
    name = f"{number}.{stored.language}.{stored.format}" if stored.language else f"{number}.{stored.format}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


# --- the centre -----------------------------------------------------------------------------------------------------


@require_safe
@login_required
def month(request: PersonRequest, month: str) -> HttpResponse:
    return render(request, "statements/month.html", _month_context(request, month))


@require_safe
@login_required
def month_progress(request: PersonRequest, month: str) -> HttpResponse:
    """Asked again and again while statements and files are made; the whole page's part."""
    return render(request, "statements/month_part.html", _month_context(request, month))


@require_POST
@login_required
def month_issue(request: PersonRequest, month: str) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    selectors.period_get(request.user, month)
    try:
        services.closing_ask(month=Month.read(month), actor=request.user)
    except StatementError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The month is being closed; its statements follow."))
    return redirect("statements:month", month)


@require_POST
@login_required
def correct(request: PersonRequest, number: str) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    found = selectors.statement_get(request.user, number)
    form = CorrectionForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form=form)
    try:
        new = services.statement_correct(statement_id=found.pk, reason=form.cleaned_data["reason"], actor=request.user)
    except StatementError as error:
        messages.error(request, str(error))
        return redirect("statements:statement", number)
    messages.success(request, _("%(number)s was issued; it corrects %(old)s.") % {"number": new.number, "old": number})
    return redirect("statements:statement", new.number)


# --- parts ----------------------------------------------------------------------------------------------------------


def _page(request: PersonRequest, found: Statement, *, form: CorrectionForm | None = None) -> HttpResponse:
    files = list(selectors.files_of(found))
    context = {
        "statement": found,
        "document": document_of(found.read(), found.sha256),
        "downloads": _downloads(files),
        "files_missing": len(files) < selectors.FILES_EACH,
        "check": getattr(found, "verification", None),
        "later": getattr(found, "corrected_by", None),
        "may_correct": is_operator(request.user) and not hasattr(found, "corrected_by"),
        "form": form or CorrectionForm(),
    }
    return render(request, "statements/statement.html", context, status=422 if form else 200)


def _downloads(files: list[StatementFile]) -> list[tuple[StatementFile, str, str]]:
    """Each file with the language of its address, and that language's name in itself."""
    names = {"vi": "Tiếng Việt", "en": "English"}
    return [(file, file.language or "all", names.get(file.language, "")) for file in files]


def _month_context(request: PersonRequest, month: str) -> dict[str, object]:
    period = selectors.period_get(request.user, month)
    of = Month.read(month)
    context: dict[str, object] = {
        "month": str(of),
        "month_text": month_text(str(of)),
        "period": period,
        "is_over": selectors.MonthRow(of, period, 0, 0).is_over,
        "is_asked": selectors.is_asked(str(of)),
        "may_issue": is_operator(request.user),
        "previous": str(of.previous),
        "next": str(of.next),
    }
    if period is not None:
        totals = selectors.period_totals(period)
        labels = {"opening": _("Opening balance"), **movement_labels(), "closing": _("Closing balance")}
        context |= {
            "progress": selectors.progress(period),
            "page": Paginator(selectors.period_statements(period), ROWS_A_PAGE).get_page(request.GET.get("page")),
            "gpu_types": list(totals.compute),
            "totals": [
                (label, [row.get(name, 0) for row in totals.compute.values()], name in ("opening", "closing"))
                for name, label in labels.items()
                if name in ("opening", "closing") or any(row.get(name) for row in totals.compute.values())
            ],
            "money": totals.money,
        }
    return context
