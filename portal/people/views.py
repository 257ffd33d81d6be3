from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.people import selectors, services
from portal.people.errors import PeopleError
from portal.people.forms import MemberForm, ProjectMemberForm, ProjectRoleForm, RoleForm, UnixAccountForm
from portal.people.models import Organisation, Project
from portal.people.rules import is_operator, manages, manages_members_of
from portal.web.registry import organisation_cards, project_cards
from portal.web.requests import PersonRequest

ROWS_A_PAGE = 50


@require_safe
@login_required
def organisations(request: PersonRequest) -> HttpResponse:
    query = request.GET.get("q", "")
    found = selectors.organisations_list(request.user, query=query)
    page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "people/organisations.html", {"page": page, "query": query})


@require_safe
@login_required
def organisation(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.organisation_get(request.user, slug)
    return _organisation_page(request, found, MemberForm())


@require_POST
@login_required
def organisation_member_add(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.organisation_get_managed(request.user, slug)
    form = MemberForm(request.POST)

    def add() -> None:
        data = form.cleaned_data
        services.member_invite(
            organisation=found,
            email=data["email"],
            full_name=data["full_name"],
            role=data["role"],
            actor=request.user,
        )

    if _done(form, add):
        messages.success(request, _("%(person)s was added.") % {"person": form.cleaned_data["email"]})
        return redirect("people:organisation", slug)
    return _organisation_page(request, found, form, status=422)


@require_POST
@login_required
def organisation_member_remove(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.organisation_get_managed(request.user, slug)
    form = RoleForm(request.POST)
    _done(form, lambda: services.membership_remove(organisation=found, actor=request.user, **form.cleaned_data))
    _say(request, form, _("The role was taken away."))
    return redirect("people:organisation", slug)


@require_safe
@login_required
def project(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.project_get(request.user, slug)
    return _project_page(request, found, ProjectMemberForm(organisation=found.organisation))


@require_POST
@login_required
def project_member_add(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.project_get_managed(request.user, slug)
    form = ProjectMemberForm(request.POST, organisation=found.organisation)
    if _done(form, lambda: services.project_member_add(project=found, actor=request.user, **form.cleaned_data)):
        messages.success(request, _("%(person)s was added.") % {"person": form.cleaned_data["user"]})
        return redirect("people:project", slug)
    return _project_page(request, found, form, status=422)


@require_POST
@login_required
def project_member_remove(request: PersonRequest, slug: str) -> HttpResponse:
    found = selectors.project_get_managed(request.user, slug)
    form = ProjectRoleForm(request.POST)
    _done(form, lambda: services.project_member_remove(project=found, actor=request.user, **form.cleaned_data))
    _say(request, form, _("The role was taken away."))
    return redirect("people:project", slug)


@require_safe
@login_required
def people(request: PersonRequest) -> HttpResponse:
    query = request.GET.get("q", "")
    found = selectors.people_visible(request.user, query=query)
    page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "people/people.html", {"page": page, "query": query})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def person(request: PersonRequest, pk: int) -> HttpResponse:
    """A person, for those who run the centre; operators set the unix account."""
    changes = request.method == "POST"
    found = selectors.person_get_managed(request.user, pk) if changes else selectors.person_get(request.user, pk)
    form = UnixAccountForm(request.POST if changes else None, initial={"unix_account": found.unix_account})
    if changes and _done(
        form,
        lambda: services.unix_account_set(user=found, name=form.cleaned_data["unix_account"], actor=request.user),
    ):
        messages.success(request, _("The unix account was saved."))
        return redirect("people:person", pk)
    context = {
        "person": found,
        "form": form,
        "may_change": is_operator(request.user),
        "memberships": found.memberships.select_related("organisation").order_by("organisation__name", "role"),
        "project_memberships": found.project_memberships.select_related("project").order_by("project__title", "role"),
    }
    return render(request, "people/person.html", context, status=422 if changes else 200)


@require_safe
@login_required
def projects_card(request: PersonRequest) -> HttpResponse:
    """On the home page: where the person works."""
    found = selectors.projects_of(request.user)
    return render(request, "people/projects_card.html", {"projects": found}) if found else HttpResponse(status=204)


# --- parts --------------------------------------------------------------------------------------------------------


def _organisation_page(
    request: PersonRequest, found: Organisation, form: MemberForm, status: int = 200
) -> HttpResponse:
    person = request.user
    context = {
        "organisation": found,
        "projects": selectors.organisation_projects(person, found),
        "members": selectors.organisation_members(found),
        "may_change": is_operator(person) or manages(person, found),
        "cards": organisation_cards.place(person, found.slug),
        "form": form,
    }
    return render(request, "people/organisation.html", context, status=status)


def _project_page(request: PersonRequest, found: Project, form: ProjectMemberForm, status: int = 200) -> HttpResponse:
    person = request.user
    context = {
        "project": found,
        "members": selectors.project_members(found),
        "may_change": is_operator(person) or manages_members_of(person, found),
        "cards": project_cards.place(person, found.slug),
        "form": form,
    }
    return render(request, "people/project.html", context, status=status)


def _done(form: forms.Form, service: Callable[[], object]) -> bool:
    """Runs a service with a valid form; what it refuses becomes an error beside its field."""
    if not form.is_valid():
        return False
    try:
        service()
    except PeopleError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error.message))
        return False
    return True


def _say(request: PersonRequest, form: forms.Form, success: str) -> None:
    """The outcome of a form that has no page of its own."""
    if form.is_valid():
        messages.success(request, success)
    else:
        for errors in form.errors.values():
            for error in errors:
                messages.error(request, str(error))
