from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.web.requests import PersonRequest
from scheduler.settlement import selectors
from scheduler.settlement.words import difference_rows, step_names


@require_safe
@login_required
def reconciliation(request: PersonRequest) -> HttpResponse:
    clusters = [
        {
            "accounts": accounts,
            "differences": difference_rows(accounts.reconciliation),
            "steps": step_names(accounts.steps),
        }
        for accounts in selectors.cluster_accounts(request.user)
    ]
    return render(request, "settlement/reconciliation.html", {"clusters": clusters})
