"""What a person may see. The permission is the fetch: what these do not return does not exist for that person (404)."""

from typing import Any

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import Membership, Organisation, Project, ProjectMembership, User
from portal.people.rules import Person, is_operator, manages_members_of, reads_everything


def organisations_of(person: Person) -> QuerySet[Organisation]:
    """The organisations that the person belongs to, by name."""
    if not isinstance(person, User):
        return Organisation.objects.none()
    return Organisation.objects.filter(pk__in=Membership.objects.filter(user=person).values("organisation"))


def organisations_managed(person: Person) -> QuerySet[Organisation]:
    if not isinstance(person, User):
        return Organisation.objects.none()
    managed = Membership.objects.filter(user=person, role=Membership.Role.MANAGER)
    return Organisation.objects.filter(pk__in=managed.values("organisation"))


def organisations_visible(person: Person) -> QuerySet[Organisation]:
    """The person's own organisations; all of them for operators, approvers and auditors."""
    return Organisation.objects.all() if reads_everything(person) else organisations_of(person)


def organisation_get(person: Person, slug: str) -> Organisation:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(organisations_visible(person), slug=slug)


def organisation_get_managed(person: Person, slug: str) -> Organisation:
    """For changes: only its managers and operators. Raises Http404 for everybody else."""
    allowed = Organisation.objects.all() if is_operator(person) else organisations_managed(person)
    return get_object_or_404(allowed, slug=slug)


def projects_of(person: Person) -> QuerySet[Project]:
    """The projects in which the person may run jobs."""
    if not isinstance(person, User):
        return Project.objects.none()
    own = ProjectMembership.objects.filter(user=person).values("project")
    return Project.objects.filter(pk__in=own, is_active=True).select_related("organisation")


def projects_visible(person: Person) -> QuerySet[Project]:
    """Own projects, all of an organisation for its managers, all for operators, approvers and auditors."""
    projects = Project.objects.select_related("organisation")
    if reads_everything(person):
        return projects
    if not isinstance(person, User):
        return projects.none()
    return projects.filter(
        Q(pk__in=ProjectMembership.objects.filter(user=person).values("project"))
        | Q(organisation__in=organisations_managed(person))
    )


def project_get(person: Person, slug: str) -> Project:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(projects_visible(person), slug=slug)


def project_get_managed(person: Person, slug: str) -> Project:
    """For changes: its principal investigators, its organisation's managers, operators. Raises Http404 for others."""
    project = project_get(person, slug)
    if not (is_operator(person) or manages_members_of(person, project)):
        raise Http404
    return project


def organisation_members(organisation: Organisation) -> QuerySet[Membership]:
    return organisation.memberships.select_related("user").order_by("role", "user__full_name", "id")


def project_members(project: Project) -> QuerySet[ProjectMembership]:
    return project.memberships.select_related("user").order_by("role", "user__full_name", "id")


def people_visible(person: Person, *, query: str = "") -> QuerySet[User]:
    """Everybody, for operators, approvers and auditors. `query` is a part of a name, an address or a unix account.

    Raises Http404 for everybody else.
    """
    if not reads_everything(person):
        raise Http404
    people = User.objects.prefetch_related("centre_roles", "memberships__organisation")
    for word in query.split():
        people = people.filter(
            Q(full_name__icontains=word) | Q(email__icontains=word) | Q(unix_account__icontains=word)
        )
    return people


def person_get(person: Person, pk: int) -> User:
    return get_object_or_404(people_visible(person), pk=pk)


def person_get_managed(person: Person, pk: int) -> User:
    """For changes: operators only."""
    if not is_operator(person):
        raise Http404
    return get_object_or_404(User, pk=pk)


def user_by_email(email: str) -> User | None:
    return User.objects.filter(email__iexact=email.strip()).first()


def organisation_people(organisation: Organisation) -> QuerySet[User]:
    """The organisation's members, by name, each once."""
    return User.objects.filter(pk__in=organisation.memberships.values("user"), is_active=True)


def organisation_projects(person: Person, organisation: Organisation) -> QuerySet[Project]:
    """Those projects of the organisation that the person may see, with the number of their members."""
    return (
        projects_visible(person)
        .filter(organisation=organisation)
        .annotate(member_count=Count("memberships__user", distinct=True))
        .order_by("title", "id")
    )


def organisations_list(person: Person, *, query: str = "") -> QuerySet[Organisation]:
    """The organisations that the person may see, with the number of their members and projects."""
    organisations = organisations_visible(person).annotate(
        # Subqueries, so that a page counts its own rows only and not every member of every organisation.
        member_count=_count(Membership.objects.filter(organisation=OuterRef("pk")), "user"),
        project_count=_count(Project.objects.filter(organisation=OuterRef("pk")), "pk"),
    )
    for word in query.split():
        organisations = organisations.filter(
            Q(name__icontains=word) | Q(slug__icontains=word) | Q(tax_code__startswith=word)
        )
    return organisations.order_by("name", "id")


def _count(rows: QuerySet[Any], field: str) -> Coalesce:
    """The number of different values of a field in rows that belong to an outer query's row."""
    counted = rows.order_by().annotate(_all=Value(1)).values("_all").annotate(_count=Count(field, distinct=True))
    return Coalesce(Subquery(counted.values("_count"), output_field=IntegerField()), 0)
