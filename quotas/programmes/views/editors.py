"""The editors of a call's questions and criteria. Every button sends the whole list; without JavaScript too."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.web.requests import PersonRequest
from quotas.programmes import editing, selectors, services
from quotas.programmes.answers import AnswersForm
from quotas.programmes.editing import CRITERION_FIELDS, QUESTION_FIELDS, Row
from quotas.programmes.errors import Invalid, ProgrammeError
from quotas.programmes.models import WHOLE_BASIS_POINTS, Call
from quotas.programmes.questions import Question, QuestionKind, question_checked, question_from

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


@get_or_post
@login_required
def questions(request: PersonRequest, slug: str) -> HttpResponse:
    call = selectors.call_get_managed(request.user, slug)
    if request.method != "POST":
        rows = editing.question_rows(selectors.questions_now(call))
        return _questions_page(request, call, rows)
    rows, button = editing.read(request.POST, QUESTION_FIELDS), request.POST.get("do", "")
    if button != "publish":
        known = selectors.question_keys(call) | {row.values["key"] for row in rows}
        rows = editing.edited(rows, button, editing.question_new(known))
        editing.choices_begun(rows)
        return _questions_page(request, call, rows)
    given = [editing.question_given(row) for row in rows]
    _mark(rows, given)
    if not any(row.error for row in rows):
        try:
            made = services.questions_publish(call=call, questions=given, actor=request.user)
        except Invalid as error:
            _refused(rows, error)
        else:
            messages.success(request, _("The questions are published as version %(n)d.") % {"n": made.version})
            return redirect("programmes:call", slug)
    return _questions_page(request, call, rows, status=422)


@get_or_post
@login_required
def criteria(request: PersonRequest, slug: str) -> HttpResponse:
    call = selectors.call_get_managed(request.user, slug)
    if request.method != "POST":
        return _criteria_page(request, call, editing.criterion_rows(call.criteria.all()))
    rows, button = editing.read(request.POST, CRITERION_FIELDS), request.POST.get("do", "")
    if button != "publish":
        rows = editing.edited(rows, button, editing.criterion_new(row.values["key"] for row in rows))
        return _criteria_page(request, call, rows)
    problem = ""
    try:
        services.criteria_set(call=call, criteria=[editing.criterion_given(row) for row in rows], actor=request.user)
    except Invalid as error:
        problem = _refused(rows, error)
    except ProgrammeError as error:
        problem = str(error)
    else:
        messages.success(request, _("The criteria are saved."))
        return redirect("programmes:call", slug)
    return _criteria_page(request, call, rows, problem=problem, status=422)


# --- parts --------------------------------------------------------------------------------------------------------


def _mark(rows: list[Row], given: list[dict[str, Any]]) -> None:
    """Says at every question at once what is wrong with it, not at the first one only."""
    for row, one in zip(rows, given, strict=True):
        try:
            question_checked(one)
        except Invalid as error:
            row.error, row.error_field = str(error), error.field


def _refused(rows: list[Row], error: Invalid) -> str:
    """Puts a refusal at its row; answers it where it belongs to none."""
    if error.position is None:
        return str(error)
    rows[error.position].error, rows[error.position].error_field = str(error), error.field
    return ""


def _previewed(rows: list[Row]) -> list[Question]:
    """Those of the questions that can be shown already."""
    shown = []
    for row in rows:
        try:
            shown.append(question_from(question_checked(editing.question_given(row))))
        except Invalid:
            continue
    return shown


def _questions_page(request: PersonRequest, call: Call, rows: list[Row], *, status: int = 200) -> HttpResponse:
    shown = _previewed(rows)
    context = {
        "call": call,
        "rows": rows,
        "kinds": QuestionKind.choices,
        "version": selectors.questions_current(call),
        "preview": AnswersForm(questions=shown, prefix="preview"),
        "unfinished": len(rows) - len(shown),
        "said": _said(request),
        "wrong": sum(bool(row.error) for row in rows),
    }
    return _editor(request, "questions", context, status)


def _criteria_page(
    request: PersonRequest, call: Call, rows: list[Row], *, problem: str = "", status: int = 200
) -> HttpResponse:
    weights = [editing.criterion_given(row).weight for row in rows]
    total = sum(weights)
    context = {
        "call": call,
        "rows": [
            (row, round(WHOLE_BASIS_POINTS * weight / total) if total else 0)
            for row, weight in zip(rows, weights, strict=True)
        ],
        "problem": problem,
        "said": _said(request),
        "wrong": sum(bool(row.error) for row in rows),
    }
    return _editor(request, "criteria", context, status)


def _editor(request: PersonRequest, name: str, context: dict[str, Any], status: int) -> HttpResponse:
    is_part = bool(request.headers.get("HX-Request")) and request.method == "POST"
    return render(request, f"programmes/{name}{'_editor' if is_part else ''}.html", context, status=status)


def _said(request: PersonRequest) -> str:
    """What a screen reader is told after a button."""
    verb = request.POST.get("do", "").partition(":")[0]
    return {
        "add": _("Added at the end."),
        "remove": _("Removed."),
        "up": _("Moved up."),
        "down": _("Moved down."),
        "choice-add": _("Choice added."),
        "choice-remove": _("Choice removed."),
    }.get(verb, "")
