from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import is_operator, manages, reads_everything
from portal.web.requests import PersonRequest
from quotas.allocations.errors import QuotaError
from quotas.applications.errors import ApplicationError
from quotas.applications.models import Application
from quotas.applications.selectors import application_get, shown_to
from quotas.programmes.errors import ProgrammeError
from quotas.programmes.selectors import budget_of, pool_balances, worth_today_vnd
from quotas.proposals.errors import ProposalError
from quotas.reviews import selectors, services
from quotas.reviews.forms import ConflictForm, ProposalForm, SendBackForm
from quotas.reviews.models import Decision
from quotas.reviews.timeline import timeline_of
from quotas.reviews.views.parts import CARD_ROWS, ROWS_A_PAGE, done
from quotas.units import SECONDS_PER_HOUR


@require_safe
@login_required
def application(request: PersonRequest, pk: int) -> HttpResponse:
    """The centre's page of an application: what is asked for, what was found, proposed and decided."""
    return _page(request, selectors.application_get_in_review(request.user, pk))


@require_POST
@login_required
def propose(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_proposable(request.user, pk)
    form = ProposalForm(request.POST, application=application)
    if done(
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
        decision = services.decision_confirm(person=request.user, decision=decision)
    except (ApplicationError, ProposalError, ProgrammeError, QuotaError) as error:
        messages.error(request, str(error))
    else:
        if decision.state == Decision.State.CONFIRMED:
            messages.success(request, _("The decision is confirmed. The applicant is told by mail."))
        else:
            messages.success(request, _("You confirmed the decision. It needs one more person."))
    return redirect("reviews:application", pk)


@require_POST
@login_required
def send_back(request: PersonRequest, pk: int, decision_pk: int) -> HttpResponse:
    decision = selectors.decision_get_confirmable(request.user, pk, decision_pk)
    form = SendBackForm(request.POST)
    if done(
        form,
        lambda: services.decision_reject(person=request.user, decision=decision, reason=form.cleaned_data["reason"]),
    ):
        messages.success(request, _("The proposal was sent back."))
        return redirect("reviews:application", pk)
    return _page(request, selectors.application_get_in_review(request.user, pk), send_back=form, status=422)


@require_safe
@login_required
def budget_after(request: PersonRequest, pk: int) -> HttpResponse:
    """Beside the form of a proposal: what an award of so many GPU-hours leaves of the programme's budgets."""
    application = selectors.application_get_proposable(request.user, pk)
    text = request.GET.get("awarded_gpu_hours", "")
    hours = min(int(text), application.gpu_hours) if text.isdecimal() and len(text) < 12 else 0
    seconds = hours * SECONDS_PER_HOUR
    amount_vnd = worth_today_vnd(application.gpu_type, seconds, request.GET.get("cluster", "")) or 0
    pools = [row for row in pool_balances(application.programme) if row.pool.gpu_type == application.gpu_type]
    money = budget_of(application.programme)
    threshold = application.programme.three_person_above_vnd
    context = {
        "application": application,
        "seconds": seconds,
        "amount_vnd": amount_vnd,
        "pool": pools[0] if pools else None,
        "left_gpu_seconds": pools[0].free_gpu_seconds - seconds if pools else 0,
        "money": money if money.funded_vnd else None,
        "needs_three": threshold is not None and amount_vnd > threshold,
    }
    return render(request, "reviews/budget_after.html", context)


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
    """On an application's page: what was decided and why, whom its managers named, the way to the centre's page."""
    application = application_get(request.user, pk)
    decided = [one for one in selectors.decisions_of(application) if one.state == Decision.State.CONFIRMED]
    is_ours = reads_everything(request.user)
    is_managed = manages(request.user, application.organisation) and application.state in selectors.WAITING
    if not decided and not is_ours and not is_managed:
        return HttpResponse(status=204)
    context = {
        "application": application,
        "decisions": decided,
        "is_ours": is_ours,
        "conflict_form": ConflictForm() if is_managed else None,
    }
    return render(request, "reviews/application_card.html", context)


@require_POST
@login_required
def conflict_name(request: PersonRequest, pk: int) -> HttpResponse:
    """A manager of the organisation, or an operator, names a person who is to have no part in its matters."""
    application = application_get(request.user, pk)
    form = ConflictForm(request.POST)
    if done(
        form,
        lambda: services.conflict_name(person=request.user, organisation=application.organisation, **form.cleaned_data),
    ):
        messages.success(request, _("Noted: this person has no part in what concerns the organisation."))
    else:
        messages.error(request, " ".join(str(text) for errors in form.errors.values() for text in errors))
    return redirect("reviews:application" if reads_everything(request.user) else "applications:detail", pk)


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
    is_blind = selectors.is_blind(request.user, application)
    context = {
        "application": application,
        "shown": shown_to(request.user, application),
        "decisions": decisions,
        "standing": next((one for one in decisions if one.state != Decision.State.SENT_BACK), None),
        "verbs": verbs,
        "is_own_proposal": any(
            one.proposal.proposed_by_id == request.user.pk and one.state == Decision.State.PROPOSED for one in decisions
        ),
        "proposal": proposal or ProposalForm(application=application) if verbs.propose else None,
        "send_back": send_back or SendBackForm() if verbs.send_back else None,
        "pools": pool_balances(application.programme),
        "reviews": [] if is_blind else selectors.assignments_of(request.user, application),
        "is_blind": is_blind,
        "conflict_form": ConflictForm() if is_operator(request.user) else None,
        "steps": timeline_of(application, decisions, with_reviews=not is_blind),
    }
    return render(request, "reviews/application.html", context, status=status)
