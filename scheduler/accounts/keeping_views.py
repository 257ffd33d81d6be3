"""Operators keep the clusters' rows: add one, change its words, retire it."""

from collections.abc import Callable

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from scheduler.accounts import selectors
from scheduler.clusters import keeping
from scheduler.clusters.errors import ClusterRefusal
from scheduler.clusters.forms import NewForm, RetireForm, WordsForm
from scheduler.clusters.models import Cluster

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


@get_or_post
@login_required
def cluster_new(request: PersonRequest) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    form = NewForm(request.POST if request.method == "POST" else None)
    if form_done(form, lambda: keeping.cluster_add(person=request.user, **form.cleaned_data)):
        messages.success(request, _("The cluster is there. Its worker follows it once its configuration names it."))
        return redirect("accounts:cluster", form.cleaned_data["name"])
    return _page(request, "accounts/cluster_new.html", {"form": form})


@get_or_post
@login_required
def cluster_edit(request: PersonRequest, name: str) -> HttpResponse:
    found = cluster_kept(request, name)
    form = WordsForm(request.POST if request.method == "POST" else None, cluster=found)
    if form_done(form, lambda: keeping.cluster_change(cluster=found, person=request.user, **form.cleaned_data)):
        messages.success(request, _("The cluster was changed."))
        return redirect("accounts:cluster", name)
    return _page(request, "accounts/cluster_edit.html", {"form": form, "cluster": found})


@get_or_post
@login_required
def cluster_retire(request: PersonRequest, name: str) -> HttpResponse:
    """What retiring does and what is there still; then it is done."""
    found = cluster_kept(request, name)
    form = RetireForm(request.POST if request.method == "POST" else None)
    if form_done(
        form,
        lambda: keeping.cluster_retire(cluster=found, reason=form.cleaned_data["reason"], person=request.user),
    ):
        messages.success(request, _("The cluster is retired: nothing new goes there."))
        return redirect("accounts:cluster", name)
    jobs, left_gpu_seconds = keeping.in_use(found)
    context = {"form": form, "cluster": found, "jobs": jobs, "left_gpu_seconds": left_gpu_seconds}
    return _page(request, "accounts/cluster_retire.html", context)


@require_POST
@login_required
def cluster_reinstate(request: PersonRequest, name: str) -> HttpResponse:
    keeping.cluster_reinstate(cluster=cluster_kept(request, name), person=request.user)
    messages.success(request, _("The cluster is in service again."))
    return redirect("accounts:cluster", name)


@require_POST
@login_required
def cluster_switch_off(request: PersonRequest, name: str) -> HttpResponse:
    try:
        keeping.cluster_switch_off(cluster=cluster_kept(request, name), person=request.user)
    except ClusterRefusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The cluster is switched off: its worker does not look at it any more."))
    return redirect("accounts:cluster", name)


def has_worker(cluster: Cluster) -> bool:
    """Whether this installation has a worker for it."""
    return cluster.name in settings.CLUSTERS


def cluster_kept(request: PersonRequest, name: str) -> Cluster:
    if not is_operator(request.user):
        raise Http404
    return selectors.cluster_get(request.user, name)


def form_done(form: forms.Form, act: Callable[[], object]) -> bool:
    if not form.is_valid():
        return False
    try:
        act()
    except ClusterRefusal as refusal:
        form.add_error(refusal.field or None, str(refusal))
        return False
    return True


def _page(request: PersonRequest, template: str, context: dict[str, object]) -> HttpResponse:
    form = context["form"]
    assert isinstance(form, forms.Form)
    return render(request, template, context, status=422 if form.is_bound else 200)
