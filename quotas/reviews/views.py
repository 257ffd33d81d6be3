from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import reads_everything
from portal.web.requests import PersonRequest
from quotas.allocations.errors import QuotaError
from quotas.applications.errors import ApplicationError
from quotas.applications.models import Application
from quotas.applications.selectors import application_get
from quotas.programmes.selectors import pool_balances
from quotas.reviews import selectors, services
from quotas.reviews.forms import ProposalForm, SendBackForm
from quotas.reviews.models import Decision

ROWS_A_PAGE = 50
CARD_ROWS = 5


@require_safe
@login_required
def application(request: PersonRequest, pk: int) -> HttpResponse:
    """The centre's page of an application: what is asked for, what was proposed and decided."""
    return _page(request, selectors.application_get_in_review(request.user, pk))


@require_POST
@login_required
def propose(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_proposable(request.user, pk)
    form = ProposalForm(request.POST, application=application)
    if _done(
        form,
        lambda: services.decision_propose(person=request.user, application=application, **form.cleaned_data),
    ):
        messages.success(request, _("The decision was proposed. Another person must confirm it."))
        return redirect("reviews:application", pk)
    application.refresh_from_db()
    return _page(request, application, proposal=form, status=422)


@require_POST
@login_required
def confirm(request: PersonRequest, pk: int, decision_pk: int) -> HttpResponse:
    decision = selectors.decision_get_confirmable(request.user, pk, decision_pk)
    try:
        services.decision_confirm(person=request.user, decision=decision)
    except (ApplicationError, QuotaError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The decision is confirmed. The applicant is told by mail."))
    return redirect("reviews:application", pk)


@require_POST
@login_required
def send_back(request: PersonRequest, pk: int, decision_pk: int) -> HttpResponse:
    decision = selectors.decision_get_confirmable(request.user, pk, decision_pk)
    form = SendBackForm(request.POST)
    if _done(
        form,
        lambda: services.decision_reject(person=request.user, decision=decision, reason=form.cleaned_data["reason"]),
    ):
        messages.success(request, _("The proposal was sent back."))
        return redirect("reviews:application", pk)
    return _page(request, selectors.application_get_in_review(request.user, pk), send_back=form, status=422)


@require_safe
@login_required
def queue(request: PersonRequest) -> HttpResponse:
    """What waits for a decision, for those who run the centre."""
    page = Paginator(selectors.decision_queue(request.user), ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "reviews/queue.html", {"page": page, "balances": pool_balances()})


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page of the centre's people: what waits for them."""
    if not reads_everything(request.user):
        return HttpResponse(status=204)
    waiting = selectors.decision_queue(request.user)
    return render(request, "reviews/queue_card.html", {"rows": waiting[:CARD_ROWS], "count": waiting.count()})


@require_safe
@login_required
def application_card(request: PersonRequest, pk: int) -> HttpResponse:
    """On an application's page: what was decided and why, or the way to the centre's page of it."""
    application = application_get(request.user, pk)
    decided = [one for one in selectors.decisions_of(application) if one.confirmed_at]
    is_ours = reads_everything(request.user)
    if not decided and not is_ours:
        return HttpResponse(status=204)
    context = {"application": application, "decisions": decided, "is_ours": is_ours}
    return render(request, "reviews/application_card.html", context)


# --- parts --------------------------------------------------------------------------------------------------------


def _page(
    request: PersonRequest,
    application: Application,
    *,
    proposal: ProposalForm | None = None,
    send_back: SendBackForm | None = None,
    status: int = 200,
) -> HttpResponse:
    decisions = selectors.decisions_of(application)
    verbs = selectors.verbs_of(request.user, application, decisions)
    context = {
        "application": application,
        "decisions": decisions,
        "standing": next((one for one in decisions if one.sent_back_at is None), None),
        "verbs": verbs,
        "is_own_proposal": any(one.proposed_by_id == request.user.pk and _waits(one) for one in decisions),
        "proposal": proposal or ProposalForm(application=application) if verbs.propose else None,
        "send_back": send_back or SendBackForm() if verbs.send_back else None,
        "pools": pool_balances(application.programme),
    }
    return render(request, "reviews/application.html", context, status=status)


def _waits(decision: Decision) -> bool:
    return decision.confirmed_at is None and decision.sent_back_at is None


def _done(form: forms.Form, service: Callable[[], object]) -> bool:
    """Runs a service with a valid form; what it refuses becomes an error beside its field."""
    if not form.is_valid():
        return False
    try:
        service()
    except ApplicationError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return False
    except QuotaError as error:  # the programme's budget
        form.add_error("awarded_gpu_hours" if "awarded_gpu_hours" in form.fields else None, str(error))
        return False
    return True
