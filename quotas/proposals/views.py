from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.web.requests import PersonRequest
from quotas.proposals import selectors, services
from quotas.proposals.errors import ProposalError
from quotas.proposals.forms import ConflictForm, FilterForm, SendBackForm
from quotas.proposals.kinds import kind_of
from quotas.proposals.models import Proposal
from quotas.proposals.rules import may_approve

ROWS_A_PAGE = 50
CARD_ROWS = 5


@require_safe
@login_required
def proposal_list(request: PersonRequest) -> HttpResponse:
    """What waits for a second or third person."""
    filters = FilterForm(request.GET)
    rows = selectors.proposal_queue(request.user, kind=filters.chosen)
    return _list(request, "proposals/list.html", filters, rows)


@require_safe
@login_required
def history(request: PersonRequest) -> HttpResponse:
    filters = FilterForm(request.GET)
    rows = selectors.proposal_history(request.user, kind=filters.chosen)
    return _list(request, "proposals/history.html", filters, rows)


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page of the centre's people."""
    waiting = selectors.proposal_queue(request.user)
    context = {"rows": selectors.proposal_rows(request.user, waiting[:CARD_ROWS]), "count": waiting.count()}
    return render(request, "proposals/card.html", context)


@require_safe
@login_required
def detail(request: PersonRequest, pk: UUID) -> HttpResponse:
    return _page(request, selectors.proposal_get(request.user, pk))


@require_POST
@login_required
def approve(request: PersonRequest, pk: UUID) -> HttpResponse:
    proposal = selectors.proposal_get_decidable(request.user, pk)
    try:
        after = services.proposal_approve(proposal=proposal, person=request.user)
    except ProposalError as error:
        messages.error(request, str(error))
    else:
        if after.state == Proposal.State.CARRIED_OUT:
            messages.success(request, _("Approved and carried out."))
        else:
            messages.success(request, _("Approved. Another person must approve it too."))
    return redirect("proposals:detail", pk)


@require_POST
@login_required
def send_back(request: PersonRequest, pk: UUID) -> HttpResponse:
    proposal = selectors.proposal_get_decidable(request.user, pk)
    form = SendBackForm(request.POST)
    if form.is_valid():
        try:
            services.proposal_send_back(proposal=proposal, person=request.user, reason=form.cleaned_data["reason"])
        except ProposalError as error:
            form.add_error(error.field or None, str(error))
        else:
            messages.success(request, _("The proposal was sent back."))
            return redirect("proposals:detail", pk)
    return _page(request, selectors.proposal_get(request.user, pk), send_back=form, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def conflicts(request: PersonRequest) -> HttpResponse:
    """Declared interests: a reviewer's own, and for those who run the centre everybody's."""
    declared = selectors.conflicts_visible(request.user)
    form = ConflictForm(request.POST or None, names_others=may_approve(request.user), person=request.user)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            services.conflict_declare(
                person=data["person"],
                organisation=data["organisation"],
                reason=data["reason"],
                declared_by=request.user,
            )
        except ProposalError as error:
            form.add_error(error.field or None, str(error))
        else:
            messages.success(request, _("The interest is declared."))
            return redirect("proposals:conflicts")
    page = Paginator(declared, ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "may_lift": may_approve(request.user)}
    return render(request, "proposals/conflicts.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def conflict_lift(request: PersonRequest, pk: int) -> HttpResponse:
    conflict = selectors.conflict_get_liftable(request.user, pk)
    try:
        services.conflict_lift(conflict=conflict, actor=request.user)
    except ProposalError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The interest is over. The history keeps it."))
    return redirect("proposals:conflicts")


# --- parts --------------------------------------------------------------------------------------------------------


def _list(request: PersonRequest, template: str, filters: FilterForm, proposals: QuerySet[Proposal]) -> HttpResponse:
    page = Paginator(proposals, ROWS_A_PAGE).get_page(request.GET.get("page"))
    rows = selectors.proposal_rows(request.user, page.object_list)
    return render(request, template, {"page": page, "rows": rows, "filters": filters})


def _page(
    request: PersonRequest, proposal: Proposal, *, send_back: SendBackForm | None = None, status: int = 200
) -> HttpResponse:
    kind = kind_of(proposal)
    verbs = selectors.verbs_of(request.user, proposal)
    approvals = list(proposal.approvals.select_related("approver"))
    context = {
        "proposal": proposal,
        "kind": kind,
        "about": kind.summary(proposal) or kind.label,
        "facts": kind.describe(proposal),
        "target": kind.url(proposal),
        "approvals": approvals,
        "missing": proposal.approvals_needed - len(approvals),
        "verbs": verbs,
        "send_back": send_back or SendBackForm() if verbs.send_back or verbs.take_back else None,
    }
    return render(request, "proposals/detail.html", context, status=status)
