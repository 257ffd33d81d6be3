"""The catalogue for everybody, its keeping for operators, and what a cluster's worker made of it."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from scheduler.datasets import selectors, services
from scheduler.datasets.asking import groups_application_ask, removals_count
from scheduler.datasets.errors import DataSetError, PlanChanged
from scheduler.datasets.forms import DataSetForm, WithdrawalForm
from scheduler.datasets.models import DataSet

get_or_post = require_http_methods(["GET", "HEAD", "POST"])
ROWS_A_PAGE = 30
ACTIONS_SHOWN, NAMES_SHOWN = 50, 20


@require_safe
@login_required
def data_sets(request: PersonRequest) -> HttpResponse:
    query = request.GET.get("q", "")[:100]
    page = Paginator(selectors.catalogue(request.user, query=query), ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "query": query, "may_keep": is_operator(request.user)}
    return render(request, "datasets/list.html", context)


@require_safe
@login_required
def data_set(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.data_set_get(request.user, slug)
    context = {
        "data_set": found,
        "users": selectors.users_of(request.user, found),
        "may_keep": is_operator(request.user),
    }
    if is_operator(request.user):
        context["reading"] = selectors.reading_of(found)
    return render(request, "datasets/data_set.html", context)


@get_or_post
@login_required
def new(request: PersonRequest) -> HttpResponse:
    if not is_operator(request.user):
        raise Http404
    form = DataSetForm(_sent(request))
    if form.is_valid():
        data = form.cleaned_data
        try:
            made = services.data_set_create(
                slug=data["slug"], cluster=data["cluster"], described=form.described(), actor=request.user
            )
        except DataSetError as error:
            _refuse(form, error)
        else:
            messages.success(request, _("The draft is there. Give its folder to the group, then offer it."))
            return redirect("datasets:data_set", made.slug)
    return _page(request, "datasets/new.html", form)


@get_or_post
@login_required
def edit(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.data_set_get_managed(request.user, slug)
    form = DataSetForm(_sent(request), data_set=found)
    if form.is_valid():
        try:
            services.data_set_change(data_set=found, described=form.described(), actor=request.user)
        except DataSetError as error:
            _refuse(form, error)
        else:
            messages.success(request, _("The data set was changed."))
            return redirect("datasets:data_set", slug)
    return _page(request, "datasets/edit.html", form, found)


@require_POST
@login_required
def offer(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.data_set_get_managed(request.user, slug)
    try:
        services.data_set_offer(data_set=found, actor=request.user)
        messages.success(request, _("It is offered now. The cluster's worker lets its people in."))
    except DataSetError as error:
        messages.warning(request, str(error))
    return redirect("datasets:data_set", slug)


@get_or_post
@login_required
def withdraw(request: PersonRequest, slug: str) -> HttpResponse:
    """What will happen, and why it does; the reason is what confirms it."""
    found = selectors.data_set_get_managed(request.user, slug)
    form = WithdrawalForm(_sent(request))
    if form.is_valid():
        try:
            services.data_set_withdraw(data_set=found, reason=form.cleaned_data["reason"], actor=request.user)
        except DataSetError as error:
            _refuse(form, error)
        else:
            messages.success(request, _("It is withdrawn. The cluster's worker takes its people out of the group."))
            return redirect("datasets:data_set", slug)
    return _page(request, "datasets/withdraw.html", form, found)


# --- a cluster's groups, for operators ----------------------------------------------------------------------------


@require_safe
@login_required
def groups(request: PersonRequest, name: str) -> HttpResponse:
    """A part of the cluster's page; nothing where there is no data set on it."""
    cluster, stored = selectors.groups_get(request.user, name)
    if stored is None:
        return HttpResponse(status=204)
    context = {
        "cluster": cluster,
        "stored": stored,
        "actions": [_shown(action) for action in stored.actions[:ACTIONS_SHOWN]],
        "removals": removals_count(stored),
        "outside": [_shown(row) | {"at": parse_datetime(row["at"])} for row in stored.outside[:10]],
        "folders": selectors.folders_to_mend(cluster),
        "may_apply": is_operator(request.user),
    }
    return render(request, "datasets/groups.html", context)


@require_POST
@login_required
def apply(request: PersonRequest, name: str) -> HttpResponse:
    cluster, _stored = selectors.groups_get(request.user, name)
    if not is_operator(request.user):
        raise Http404
    try:
        groups_application_ask(cluster=cluster, digest=request.POST.get("digest", ""), actor=request.user)
        messages.success(
            request, _("The cluster's worker was asked to change the groups. This page shows when it did.")
        )
    except PlanChanged:
        messages.warning(request, _("Who is to be changed is not what you saw any more. Look at it again."))
    return redirect("accounts:cluster", name)


# --- parts --------------------------------------------------------------------------------------------------------


def _shown(action: dict[str, list[str]]) -> dict[str, object]:
    """With as many names as a person reads; the rest is counted."""
    shown: dict[str, object] = dict(action)
    for verb in ("add", "remove"):
        shown[verb] = action[verb][:NAMES_SHOWN]
        shown[f"{verb}_more"] = max(0, len(action[verb]) - NAMES_SHOWN)
    return shown


def _sent(request: PersonRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _refuse(form: forms.Form, error: DataSetError) -> None:
    form.add_error(error.field if error.field in form.fields else None, str(error))


def _page(request: PersonRequest, template: str, form: forms.Form, data_set: DataSet | None = None) -> HttpResponse:
    return render(request, template, {"form": form, "data_set": data_set}, status=422 if form.errors else 200)
