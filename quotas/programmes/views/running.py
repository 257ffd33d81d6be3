"""For operators: making and changing programmes, budgets, tariffs, calls. Money goes through a proposal, always."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from quotas.programmes import selectors, services
from quotas.programmes.errors import ProgrammeError
from quotas.programmes.forms import (
    BudgetForm,
    CallForm,
    ProgrammeForm,
    TariffForm,
    TermsForm,
    TermsProposalForm,
)
from quotas.programmes.models import Call, Programme
from quotas.programmes.terms import Terms, terms_of
from quotas.proposals.errors import ProposalError
from quotas.proposals.models import Proposal

get_or_post = require_http_methods(["GET", "HEAD", "POST"])
# What the centre most often gives: a beginning that an operator changes.
FIRST_TERMS = Terms(
    shares={"startup": 8_000, "sme": 5_000, "university": 10_000, "institute": 10_000, "public_body": 10_000}
)


@get_or_post
@login_required
def programme_new(request: PersonRequest) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    form = ProgrammeForm(_sent(request))
    rules = TermsForm(_sent(request), terms=FIRST_TERMS)
    made: list[Programme] = []

    def make() -> None:
        made.append(services.programme_create(budgets={}, terms=rules.terms(), actor=request.user, **form.cleaned_data))

    if _done(request, [form, rules], make):
        messages.success(request, _("The programme is there. Its budget comes from a proposal."))
        return redirect("programmes:programme", made[0].slug)
    return _page(request, "programmes/new.html", {"form": form, "rules": rules})


@get_or_post
@login_required
def programme_edit(request: PersonRequest, slug: str) -> HttpResponse:
    programme = selectors.programme_get_managed(request.user, slug)
    form = ProgrammeForm(_sent(request), programme=programme)
    if _done(
        request,
        [form],
        lambda: services.programme_change(programme=programme, actor=request.user, **form.cleaned_data),
    ):
        messages.success(request, _("The programme was changed."))
        return redirect("programmes:programme", slug)
    return _page(request, "programmes/edit.html", {"form": form, "programme": programme})


@get_or_post
@login_required
def programme_rules(request: PersonRequest, slug: str) -> HttpResponse:
    """At once while the programme never had a budget, else as a proposal."""
    programme = selectors.programme_get_managed(request.user, slug)
    is_funded = selectors.is_funded(programme)
    form_class = TermsProposalForm if is_funded else TermsForm
    rules = form_class(_sent(request), terms=terms_of(programme))
    proposals: list[Proposal] = []

    def change() -> None:
        if not is_funded:
            services.terms_set(programme=programme, terms=rules.terms(), actor=request.user)
            return
        proposals.append(
            services.terms_propose(
                programme=programme, terms=rules.terms(), reason=rules.cleaned_data["reason"], person=request.user
            )
        )

    if _done(request, [rules], change):
        if proposals:
            return _proposed(request, proposals[0])
        messages.success(request, _("The rules were changed."))
        return redirect("programmes:programme", slug)
    return _page(request, "programmes/rules.html", {"rules": rules, "programme": programme, "needs_others": is_funded})


@get_or_post
@login_required
def budget(request: PersonRequest, slug: str) -> HttpResponse:
    programme = selectors.programme_get_managed(request.user, slug)
    form = BudgetForm(_sent(request))
    proposals: list[Proposal] = []

    def propose() -> None:
        proposals.append(
            services.budget_propose(
                programme=programme, reason=form.cleaned_data["reason"], person=request.user, **form.amounts()
            )
        )

    if _done(request, [form], propose):
        return _proposed(request, proposals[0])
    context = {
        "form": form,
        "programme": programme,
        "money": selectors.budget_of(programme),
        "balances": selectors.pool_balances(programme),
        "gpu_types": selectors.gpu_types_known(),
    }
    return _page(request, "programmes/budget.html", context)


@get_or_post
@login_required
def tariff_new(request: PersonRequest) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    form = TariffForm(_sent(request))
    proposals: list[Proposal] = []
    if _done(
        request,
        [form],
        lambda: proposals.append(services.tariff_propose(person=request.user, **form.cleaned_data)),
    ):
        return _proposed(request, proposals[0])
    return _page(request, "programmes/tariff_new.html", {"form": form, "gpu_types": selectors.gpu_types_known()})


@get_or_post
@login_required
def call_new(request: PersonRequest, slug: str) -> HttpResponse:
    programme = selectors.programme_get_managed(request.user, slug)
    form = CallForm(_sent(request))
    made: list[Call] = []
    if _done(
        request,
        [form],
        lambda: made.append(services.call_create(programme=programme, actor=request.user, **form.cleaned_data)),
    ):
        messages.success(request, _("The call is there. Now write its questions and criteria."))
        return redirect("programmes:call", made[0].slug)
    return _page(request, "programmes/call_new.html", {"form": form, "programme": programme})


@get_or_post
@login_required
def call_edit(request: PersonRequest, slug: str) -> HttpResponse:
    call = selectors.call_get_managed(request.user, slug)
    form = CallForm(_sent(request), call=call)
    if _done(request, [form], lambda: services.call_change(call=call, actor=request.user, **form.cleaned_data)):
        messages.success(request, _("The call was changed."))
        return redirect("programmes:call", slug)
    return _page(request, "programmes/call_edit.html", {"form": form, "call": call})


# --- parts --------------------------------------------------------------------------------------------------------


def _sent(request: PersonRequest) -> QueryDict | None:
    """What a form was sent with; a form in which everything is empty was sent too."""
    return request.POST if request.method == "POST" else None


def _done(request: PersonRequest, parts: list[forms.Form], service: Callable[[], object]) -> bool:
    """Runs a service with valid forms; what it refuses becomes an error beside its field, in whichever form that is."""
    if request.method != "POST":
        return False
    valid = [part.is_valid() for part in parts]  # each says what is wrong with it
    if not all(valid):
        return False
    try:
        service()
    except (ProgrammeError, ProposalError) as error:
        part = next((part for part in parts if error.field in part.fields), None)
        (part or parts[0]).add_error(error.field if part else None, str(error))
        return False
    return True


def _page(request: PersonRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    wrong = any(form.errors for form in context.values() if isinstance(form, forms.Form))
    return render(request, template, context, status=422 if wrong else 200)


def _proposed(request: PersonRequest, proposal: Proposal) -> HttpResponse:
    if proposal.approvals_needed > 1:
        messages.success(request, _("Proposed. Two other people must approve it."))
    else:
        messages.success(request, _("Proposed. Another person must approve it."))
    return redirect("proposals:detail", proposal.pk)
