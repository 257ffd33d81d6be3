"""What anybody may read, without an account: programmes, calls, tariffs. Public money, public prices."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.clock import centre_date, now
from portal.people.rules import is_operator, manages_any, reads_everything
from quotas.programmes import selectors
from quotas.programmes.lines import limits_lines, shares_lines
from quotas.programmes.models import WHOLE_BASIS_POINTS
from quotas.programmes.questions import questions_of
from quotas.programmes.terms import terms_of


@require_safe
def programme_list(request: HttpRequest) -> HttpResponse:
    """Open calls first: it is what most come for. Then who funds what."""
    moment = now()
    context = {
        "calls": selectors.calls_open(moment),
        "announced": selectors.calls_announced(moment),
        "programmes": selectors.programme_list(request.user),
        "moment": moment,
    }
    return _render(request, "programmes/list.html", context)


@require_safe
def programme(request: HttpRequest, slug: str) -> HttpResponse:
    one = selectors.programme_get(slug)
    terms = terms_of(one)
    waiting = selectors.proposals_waiting(["budget", "programme_rules"], one)
    context = {
        "programme": one,
        "shares": shares_lines(terms),
        "limits": limits_lines(terms),
        "money": selectors.budget_of(one),
        "balances": selectors.pool_balances(one),
        "calls": [(call, call.state_at(now())) for call in one.calls.all()],
        "waiting": waiting if reads_everything(request.user) else [],
    }
    return _render(request, "programmes/programme.html", context)


@require_safe
def call(request: HttpRequest, slug: str) -> HttpResponse:
    one = selectors.call_get(slug)
    moment = now()
    terms = terms_of(one.programme)
    criteria = list(one.criteria.all())
    weights = sum(row.weight for row in criteria)
    context = {
        "call": one,
        "state": one.state_at(moment),
        "moment": moment,
        "shares": shares_lines(terms),
        "limits": limits_lines(terms),
        "questions": questions_of(selectors.questions_current(one)),
        "criteria": [(row, round(WHOLE_BASIS_POINTS * row.weight / weights)) for row in criteria],
        "may_apply": manages_any(request.user),
    }
    return _render(request, "programmes/call.html", context)


@require_safe
def tariffs(request: HttpRequest) -> HttpResponse:
    today = centre_date(now())
    current = selectors.tariffs_in_force(today)
    context = {
        "current": current,
        "in_force": {row.pk for row in current},
        "tariffs": selectors.tariff_list(),
        "today": today,
        "waiting": selectors.proposals_waiting(["tariff"]) if reads_everything(request.user) else [],
    }
    return _render(request, "programmes/tariffs.html", context)


def _render(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Inside the shell for a person, on a page of its own for a stranger."""
    is_person = request.user.is_authenticated
    context |= {
        "layout": "base.html" if is_person else "plain.html",
        "operates": is_operator(request.user),
        "reads_everything": reads_everything(request.user),
    }
    return render(request, template, context)
