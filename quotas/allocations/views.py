from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.people.models import User
from portal.people.rules import is_operator, manages, reads_everything
from portal.people.selectors import organisation_get, project_get
from portal.web.requests import PersonRequest
from quotas.allocations import selectors, services, trail
from quotas.allocations.errors import QuotaError
from quotas.allocations.forms import ReasonForm
from quotas.allocations.models import Allocation, Voucher, Withdrawal
from quotas.allocations.services.other_cluster import may_cancel_move
from quotas.proposals.errors import ProposalError

ROWS_A_PAGE = 50
CARD_ROWS = 10
MOVES_SHOWN = 10


@require_safe
@login_required
def allocation_list(request: PersonRequest) -> HttpResponse:
    page = Paginator(selectors.allocation_list(request.user), ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "rows": selectors.with_balances(page.object_list)}
    return render(request, "allocations/list.html", context)


@require_safe
@login_required
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    return _page(request, selectors.allocation_get(request.user, pk))


@require_safe
@login_required
def transfers(request: PersonRequest, pk: int) -> HttpResponse:
    """The transfers that one figure is the sum of."""
    allocation = selectors.allocation_get(request.user, pk)
    figure = request.GET.get("figure", "remaining")
    if figure not in trail.FIGURES:
        raise Http404
    account_id, sign = trail.account_of_figure(allocation, figure)
    page = Paginator(trail.transfers_of_figure(allocation, figure), ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "allocation": allocation,
        "figure": figure,
        "total": trail.figure_gpu_seconds(selectors.allocation_balances([pk])[pk], figure),
        "page": page,
        "rows": trail.trail_rows(list(page.object_list), account_id=account_id, sign=sign),
        "is_hold": figure in ("held", "withdrawals"),
    }
    return render(request, "allocations/transfers.html", context)


@require_safe
@login_required
def batch(request: PersonRequest, pk: int, batch: UUID) -> HttpResponse:
    """Everything that was booked in one batch, as far as it concerns the allocation."""
    allocation = selectors.allocation_get(request.user, pk)
    found = list(trail.transfers_of_batch_here(allocation, batch))
    if not found:
        raise Http404
    rows = trail.trail_rows(found, account_id=allocation.account_id)
    return render(request, "allocations/batch.html", {"allocation": allocation, "batch": batch, "rows": rows})


# --- what an operator can do --------------------------------------------------------------------------------------


@require_POST
@login_required
def suspend(request: PersonRequest, pk: int) -> HttpResponse:
    return _state_change(request, pk, services.allocation_suspend, _("The allocation is suspended."))


@require_POST
@login_required
def resume(request: PersonRequest, pk: int) -> HttpResponse:
    return _state_change(request, pk, services.allocation_resume, _("The allocation is active again."))


@require_POST
@login_required
def close(request: PersonRequest, pk: int) -> HttpResponse:
    return _state_change(request, pk, services.allocation_close, _("The allocation is closed."))


@require_POST
@login_required
def adopt(request: PersonRequest, pk: int) -> HttpResponse:
    allocation = selectors.allocation_get_for_operator(request.user, pk)
    services.allocation_adopt(allocation_id=allocation.pk, actor=request.user)
    messages.success(request, _("The allocation was adopted. Its account appears in the cluster's next plan."))
    return redirect("allocations:detail", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def move_cancel(request: PersonRequest, pk: UUID) -> HttpResponse:
    """Takes back what is on its way to another cluster: for operators and those whose move it is."""
    move = selectors.move_get(request.user, pk)
    if not may_cancel_move(request.user, move):
        if move.is_open_move or request.method != "POST":
            raise Http404
        messages.error(request, _("It has arrived already, or was taken back."))
        return redirect("allocations:detail", move.allocation_id)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.move_cancel(row=move, reason=form.cleaned_data["reason"], person=request.user)
        except (QuotaError, ProposalError) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _("Taken back: it is in the first allocation again."))
        return redirect("allocations:detail", move.allocation_id)
    status = 422 if form.is_bound else 200
    return render(request, "allocations/move_cancel.html", {"move": move, "form": form}, status=status)


# --- fragments ----------------------------------------------------------------------------------------------------


@require_safe
@login_required
def home_card(request: PersonRequest) -> HttpResponse:
    """What the person can submit jobs on."""
    return _card(request, selectors.allocation_list(request.user, own=True), with_project=True)


@require_safe
@login_required
def project_card(request: PersonRequest, slug: str) -> HttpResponse:
    return _card(request, selectors.allocation_list(request.user, project=project_get(request.user, slug)))


@require_safe
@login_required
def organisation_card(request: PersonRequest, slug: str) -> HttpResponse:
    """Those of the organisation's allocations that the person may see: a manager all, a researcher the own
    projects'."""
    found = selectors.allocation_list(request.user, organisation=organisation_get(request.user, slug))
    if not found:
        return HttpResponse(status=204)  # the reports' card says what an organisation without an award can do
    return _card(request, found, with_project=True)


# --- parts --------------------------------------------------------------------------------------------------------


def _card(request: PersonRequest, found: QuerySet[Allocation], *, with_project: bool = False) -> HttpResponse:
    context = {"rows": selectors.with_balances(found[:CARD_ROWS]), "with_project": with_project}
    return render(request, "allocations/card.html", context)


def _page(request: PersonRequest, allocation: Allocation, *, form: ReasonForm | None = None) -> HttpResponse:
    context = {
        "allocation": allocation,
        "balance": selectors.allocation_balances([allocation.pk])[allocation.pk],
        "withdrawals": selectors.open_withdrawals(allocation),
        "moves": moves_shown(request.user, allocation=allocation),
        "may_change": is_operator(request.user),
        "sees_voucher": reads_everything(request.user) or manages(request.user, allocation.project.organisation),
        "form": form or ReasonForm(),
    }
    return render(request, "allocations/detail.html", context, status=422 if form else 200)


def moves_shown(
    person: User, *, allocation: Allocation | None = None, voucher: Voucher | None = None
) -> list[tuple[Withdrawal, bool]]:
    """The last moves, each with whether this person can take it back."""
    rows = selectors.moves_visible(person, allocation=allocation, voucher=voucher)[:MOVES_SHOWN]
    return [(row, may_cancel_move(person, row)) for row in rows]


def _state_change(request: PersonRequest, pk: int, service: Callable[..., None], success: str) -> HttpResponse:
    allocation = selectors.allocation_get_for_operator(request.user, pk)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _page(request, allocation, form=form)
    try:
        service(allocation_id=allocation.pk, reason=form.cleaned_data["reason"], actor=request.user)
    except QuotaError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, success)
    return redirect("allocations:detail", pk)
