from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from portal.clock import centre_date, now
from portal.people.rules import is_operator, manages
from portal.people.selectors import organisation_get
from portal.web.requests import PersonRequest
from quotas.allocations import vouchers
from quotas.allocations.burndown import burndown_of
from quotas.allocations.centre_verbs import CENTRE_VERBS
from quotas.allocations.errors import QuotaError
from quotas.allocations.models import ChangeRequest, CloseOut, Refund, Voucher
from quotas.allocations.selectors import with_balances
from quotas.allocations.verbs import VERBS, Verb
from quotas.allocations.views import moves_shown
from quotas.allocations.voucher_forms import VoucherForm
from quotas.clusters import cluster_choices
from quotas.programmes.errors import ProgrammeError
from quotas.proposals.errors import ProposalError

ROWS_A_PAGE = 50
CARD_ROWS = 10
REFUSALS = (QuotaError, ProgrammeError, ProposalError)


@require_safe
@login_required
def voucher_list(request: PersonRequest) -> HttpResponse:
    page = Paginator(vouchers.vouchers_visible(request.user), ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "rows": vouchers.with_voucher_balances(page.object_list)}
    return render(request, "vouchers/list.html", context)


@require_safe
@login_required
def voucher(request: PersonRequest, number: str) -> HttpResponse:
    found = vouchers.voucher_get(request.user, number)
    balance = vouchers.voucher_balances([found])[found.pk]
    used = vouchers.used_by_day(found)
    forecast = vouchers.voucher_forecast(found, balance=balance, used=used)
    rows = with_balances(found.allocations.select_related("project__organisation", "voucher__programme"))
    tranches = list(found.tranches.prefetch_related("reports__written_by"))
    requests = list(found.change_requests.select_related("requested_by", "proposal"))
    close_out = CloseOut.objects.filter(voucher=found).prefetch_related("checks").first()
    context = {
        "voucher": found,
        "balance": balance,
        "forecast": forecast,
        "chart": burndown_of(found, used, forecast, centre_date(now())),
        "rows": rows,
        "moves": moves_shown(request.user, voucher=found),
        "tranches": tranches,
        "requests": requests,
        "refunds": Refund.objects.filter(allocation__voucher=found).order_by("-created_at")[:20],
        "close_out": close_out,
        "is_ended": found.ends_on < centre_date(now()),
        "own_verbs": [],
        "centre_verbs": [],
    }
    if manages(request.user, found.organisation):
        context["own_verbs"] = _own_verbs(context)
    if is_operator(request.user):
        context["centre_verbs"] = _centre_verbs(context)
    return render(request, "vouchers/voucher.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def verb(request: PersonRequest, number: str, name: str) -> HttpResponse:
    """A verb's form; then what it will do, in words; then it is done."""
    chosen = VERBS.get(name) or CENTRE_VERBS.get(name)
    if chosen is None:
        raise Http404
    fetch = vouchers.voucher_get_for_operator if chosen.by_operator else vouchers.voucher_get_managed
    found = fetch(request.user, number)
    if name in ("close-out", "return-close-out", "check-commitments") and not hasattr(found, "close_out"):
        raise Http404
    if request.method != "POST":
        return _verb_page(request, found, name, chosen, chosen.form(voucher=found, initial=request.GET.dict()))
    form = chosen.form(request.POST, voucher=found)
    if form.is_valid():
        try:
            if "confirmed" not in request.POST:
                effect = chosen.effect(found, form.cleaned_data)
                return _verb_page(request, found, name, chosen, form, effect=effect)
            chosen.act(found, form.cleaned_data, request.user)
        except REFUSALS as error:
            field = getattr(error, "field", "")
            form.add_error(field if field in form.fields else None, str(error))
        else:
            messages.success(request, str(chosen.done))
            return redirect("vouchers:voucher", number)
    return _verb_page(request, found, name, chosen, form, status=422)


@require_safe
@login_required
def organisation_card(request: PersonRequest, slug: str) -> HttpResponse:
    found = vouchers.vouchers_of(organisation_get(request.user, slug), request.user)[:CARD_ROWS]
    if not found:
        return HttpResponse(status=204)
    return render(request, "vouchers/card.html", {"rows": vouchers.with_voucher_balances(found)})


@require_safe
def results(request: HttpRequest) -> HttpResponse:
    """What came of public money: for everybody, without login."""
    page = Paginator(vouchers.results_public(), ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "vouchers/results.html", {"page": page, "rows": page.object_list})


@require_safe
def result(request: HttpRequest, number: str) -> HttpResponse:
    found = vouchers.result_get(number)
    balance = vouchers.voucher_balances([found.voucher])[found.voucher_id]
    return render(request, "vouchers/result.html", {"result": found, "voucher": found.voucher, "balance": balance})


# --- parts --------------------------------------------------------------------------------------------------------


def _verb_page(
    request: PersonRequest,
    found: Voucher,
    name: str,
    chosen: Verb,
    form: VoucherForm,
    *,
    effect: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"voucher": found, "name": name, "verb": chosen, "form": form, "effect": effect}
    if effect is not None:
        values = [
            (key, value) for key, value in request.POST.items() if key not in ("csrfmiddlewaretoken", "confirmed")
        ]
        context["given"] = values
    return render(request, "vouchers/verb.html", context, status=status)


def _own_verbs(facts: dict[str, object]) -> list[tuple[str, Verb]]:
    """What a manager can do with it now."""
    balance, close_out = facts["balance"], facts["close_out"]
    is_ended, rows, tranches = facts["is_ended"], facts["rows"], facts["tranches"]
    assert isinstance(balance, vouchers.VoucherBalance)
    open_ = [row for row in rows if row.allocation.state in ("active", "suspended")]  # type: ignore[attr-defined]
    waiting = [one for one in facts["requests"] if one.state == ChangeRequest.State.WAITING]  # type: ignore[attr-defined]
    reportable = [one for one in tranches if one.state == "pending" and one.needs_report]  # type: ignore[attr-defined]
    can = {
        "allocate": balance.unallocated > 0 and not is_ended,
        "move": len(open_) > 1 and not is_ended,
        "move-cluster": bool(open_) and not is_ended and len(cluster_choices()) > 1,
        "take-back": bool(open_) and not is_ended,
        "return": balance.unallocated > 0 and not is_ended,
        "change": not is_ended,
        "withdraw-change": bool(waiting),
        "report": bool(reportable) and not is_ended,
        "close-out": isinstance(close_out, CloseOut) and close_out.state == CloseOut.State.OPEN,
    }
    return [(name, VERBS[name]) for name in VERBS if can[name]]


def _centre_verbs(facts: dict[str, object]) -> list[tuple[str, Verb]]:
    """What an operator can do with it now."""
    close_out = facts["close_out"]
    tranches, rows = facts["tranches"], facts["rows"]
    open_ = [row for row in rows if row.allocation.state in ("active", "suspended")]  # type: ignore[attr-defined]
    pending = [one for one in tranches if one.state == "pending"]  # type: ignore[attr-defined]
    reported = any(report.state == "waiting" for one in pending for report in one.reports.all())
    waiting = [one for one in facts["requests"] if one.state == ChangeRequest.State.WAITING]  # type: ignore[attr-defined]
    submitted = isinstance(close_out, CloseOut) and close_out.state == CloseOut.State.SUBMITTED
    can = {
        "release-tranche": bool(pending) and not facts["is_ended"],
        "lose-tranche": bool(pending),
        "accept-report": reported,
        "return-report": reported,
        "propose-change": bool(waiting),
        "decline-change": bool(waiting),
        "propose-move": len(open_) > 1,
        "propose-move-cluster": bool(open_) and len(cluster_choices()) > 1,
        "propose-clawback": bool(open_),
        "propose-refund": bool(rows),
        "propose-correction": bool(facts["refunds"]),
        "return-close-out": submitted,
        "check-commitments": submitted,
    }
    return [(name, CENTRE_VERBS[name]) for name in CENTRE_VERBS if can[name]]
