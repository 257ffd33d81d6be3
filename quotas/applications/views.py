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
from portal.people.rules import manages_any, reads_everything
from portal.web.requests import PersonRequest
from quotas.allocations.errors import QuotaError
from quotas.applications import selectors, services
from quotas.applications.errors import ApplicationError
from quotas.applications.forms import ApplicationForm, ProposalForm, SendBackForm
from quotas.applications.models import Application, Decision
from quotas.programmes.selectors import pool_balances

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
    initial = {"starts_on": today, "ends_on": today + timedelta(days=364)}
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
    return _page(request, selectors.application_get(request.user, pk))


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
        return redirect("applications:detail", pk)
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
    return redirect("applications:detail", pk)


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
        return redirect("applications:detail", pk)
    return _page(request, selectors.application_get(request.user, pk), send_back=form, status=422)


@require_safe
@login_required
def queue(request: PersonRequest) -> HttpResponse:
    """What waits for a decision, for those who run the centre."""
    page = Paginator(selectors.decision_queue(request.user), ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "applications/queue.html", {"page": page, "balances": pool_balances()})


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page: what waits for the centre's people, or a manager's own applications."""
    if reads_everything(request.user):
        waiting = selectors.decision_queue(request.user)
        context = {"rows": waiting[:CARD_ROWS], "count": waiting.count()}
        return render(request, "applications/queue_card.html", context)
    if not manages_any(request.user):
        return HttpResponse(status=204)
    return render(request, "applications/card.html", {"rows": selectors.application_list(request.user)[:CARD_ROWS]})


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
        "pools": pool_balances(application.programme) if reads_everything(request.user) else [],
    }
    return render(request, "applications/detail.html", context, status=status)


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
