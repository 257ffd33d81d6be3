"""Operators' page of what Slurm cannot say about a cluster: shares of slices, what one person may have at once, and, as
Slurm says it, who may use which reservation."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from scheduler.accounts import selectors
from scheduler.accounts.keeping_views import cluster_kept, form_done
from scheduler.clusters import rules
from scheduler.clusters.errors import ShareUsed
from scheduler.clusters.models import Cluster
from scheduler.clusters.reserved import reservations_seen
from scheduler.clusters.rule_forms import RuleForm, SliceForm


@require_safe
@login_required
def cluster_rules(request: PersonRequest, name: str) -> HttpResponse:
    return _page(request, selectors.cluster_get(request.user, name))


@require_POST
@login_required
def slice_add(request: PersonRequest, name: str) -> HttpResponse:
    found = cluster_kept(request, name)
    form = _slice_form(rules.types_seen(found), request)
    if not form_done(form, lambda: _add(form, request)):
        return _page(request, found, slice_form=form)
    messages.success(request, _("The slice is known: its jobs use the whole GPU's allocations at its share."))
    return redirect("accounts:rules", name)


def _add(form: SliceForm, request: PersonRequest) -> None:
    given = form.cleaned_data
    parts, whole = given["share"]
    rules.slice_add(gpu_type=given["gpu_type"], parent=given["parent"], parts=parts, whole=whole, person=request.user)


@require_POST
@login_required
def slice_forget(request: PersonRequest, name: str, gpu_type: str) -> HttpResponse:
    found = cluster_kept(request, name)
    if not any(row.share for row in rules.types_seen(found) if row.gpu_type == gpu_type):
        raise Http404
    try:
        rules.slice_forget(gpu_type=gpu_type, person=request.user)
    except ShareUsed as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("The share is forgotten. Make it known anew, so that jobs can use the slice."))
    return redirect("accounts:rules", name)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def rule_edit(request: PersonRequest, name: str, kind: str) -> HttpResponse:
    found = cluster_kept(request, name)
    seen = _rule(found, kind)
    form = RuleForm(request.POST if request.method == "POST" else None, kind=kind, limits=seen.limits)
    if form_done(form, lambda: rules.rule_keep(cluster=found, kind=kind, limits=form.limits, person=request.user)):
        messages.success(request, _("The rule is kept. The plan brings it to Slurm with the worker's next look."))
        return redirect("accounts:rules", name)
    context = {"cluster": found, "rule": seen, "form": form}
    return render(request, "accounts/rule_edit.html", context, status=422 if form.is_bound else 200)


@require_POST
@login_required
def rule_drop(request: PersonRequest, name: str, kind: str) -> HttpResponse:
    found = cluster_kept(request, name)
    rules.rule_drop(cluster=found, kind=_rule(found, kind).kind, person=request.user)
    messages.success(request, _("The rule is gone. The plan brings that to Slurm with the worker's next look."))
    return redirect("accounts:rules", name)


# --- parts ----------------------------------------------------------------------------------------------------------


def _page(request: PersonRequest, found: Cluster, *, slice_form: SliceForm | None = None) -> HttpResponse:
    seen = rules.types_seen(found)
    context = {
        "cluster": found,
        "types": seen,
        "rules": rules.rules_seen(found),
        "history": rules.rules_history(found),
        "reservations": reservations_seen(request.user, found),
        "slice_form": slice_form or _slice_form(seen),
        "may_keep": is_operator(request.user),
    }
    return render(request, "accounts/rules.html", context, status=422 if slice_form else 200)


def _slice_form(seen: list[rules.TypeSeen], request: PersonRequest | None = None) -> SliceForm:
    whole = [row.gpu_type for row in seen if row.share is None and not row.looks_cut]
    return SliceForm(request.POST if request else None, types=rules.slice_choices(seen), parents=whole)


def _rule(cluster: Cluster, kind: str) -> rules.RuleSeen:
    for seen in rules.rules_seen(cluster):
        if seen.kind == kind:
            return seen
    raise Http404
