from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from scheduler.settlement import selectors
from scheduler.settlement.asking import missing_keep_ask
from scheduler.settlement.words import difference_rows, kept_rows, step_names


@require_safe
@login_required
def reconciliation(request: PersonRequest) -> HttpResponse:
    clusters = [
        {
            "accounts": accounts,
            "differences": difference_rows(accounts.reconciliation),
            "steps": step_names(accounts.steps),
            "kept": kept_rows(accounts.kept),
        }
        for accounts in selectors.cluster_accounts(request.user)
    ]
    context = {"clusters": clusters, "may_keep": is_operator(request.user)}
    return render(request, "settlement/reconciliation.html", context)


@require_POST
@login_required
def keep(request: PersonRequest, pk: int) -> HttpResponse:
    """The charges of what slurmdbd lost stand."""
    try:
        missing_keep_ask(reconciliation_id=pk, reason=request.POST.get("reason", ""), actor=request.user)
        messages.success(request, _("The cluster's worker was asked. It compares anew and says here what came of it."))
    except ValueError:
        messages.warning(request, _("Say why the charges stand: the reason stays on this page."))
    return redirect("settlement:reconciliation")
