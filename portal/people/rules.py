"""Roles as predicates. Each asks the database once and takes any `request.user`, logged in or not.

Compose them with `|` and `&`: `reads_everything = is_operator | is_approver | is_auditor`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, cast

import rules
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from portal.people.models import CentreRole, Membership, Organisation, Project, ProjectMembership, User

Person = User | AnonymousUser


T = TypeVar("T")
_known: ContextVar[dict[tuple[str, object], object] | None] = ContextVar("known_roles", default=None)


@contextmanager
def roles_asked_once() -> Iterator[None]:
    """Inside, what was asked about a person is not asked again: for a request that only reads, whose page asks the same
    of many links. What writes never runs inside: a role that was taken away a moment ago counts there.
    """
    before = _known.set({})
    try:
        yield
    finally:
        _known.reset(before)


def asked_once(name: str, person: User, ask: Callable[[], T]) -> T:
    """The answer about a person, from memory where `roles_asked_once` is on."""
    known = _known.get()
    if known is None:
        return ask()
    key = (name, person.pk)
    if key not in known:
        known[key] = ask()
    return cast(T, known[key])


def _held(person: Person, roles: QuerySet[Membership] | QuerySet[ProjectMembership], name: str = "") -> bool:
    """Whether one of these rows is the person's; never for a stranger or a person who was deactivated."""
    if not isinstance(person, User) or not person.is_active:
        return False
    rows = roles.filter(user=person)
    return asked_once(name, person, rows.exists) if name else rows.exists()


def centre_roles(person: Person) -> frozenset[str]:
    """The person's roles of the centre; empty for a stranger and for a person who was deactivated."""
    if not isinstance(person, User) or not person.is_active:
        return frozenset()
    roles = CentreRole.objects.filter(user=person).values_list("role", flat=True)
    return asked_once("centre", person, lambda: frozenset(roles))


@rules.predicate
def is_operator(person: Person) -> bool:
    return CentreRole.Role.OPERATOR in centre_roles(person)


@rules.predicate
def is_approver(person: Person) -> bool:
    return CentreRole.Role.APPROVER in centre_roles(person)


@rules.predicate
def is_auditor(person: Person) -> bool:
    return CentreRole.Role.AUDITOR in centre_roles(person)


@rules.predicate
def is_reviewer(person: Person) -> bool:
    return CentreRole.Role.REVIEWER in centre_roles(person)


@rules.predicate
def reads_everything(person: Person) -> bool:
    """Operators, approvers and auditors see every organisation; the last change nothing."""
    return bool(centre_roles(person) & {CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER, CentreRole.Role.AUDITOR})


@rules.predicate
def manages(person: Person, organisation: Organisation) -> bool:
    return _held(person, organisation.memberships.filter(role=Membership.Role.MANAGER))


@rules.predicate
def manages_any(person: Person) -> bool:
    return _held(person, Membership.objects.filter(role=Membership.Role.MANAGER), "manages any")


@rules.predicate
def is_organisation_member(person: Person, organisation: Organisation) -> bool:
    return _held(person, organisation.memberships.all())


@rules.predicate
def is_member(person: Person, project: Project) -> bool:
    """A researcher or principal investigator of the project: one who may run jobs in it."""
    return _held(person, project.memberships.all())


@rules.predicate
def is_pi(person: Person, project: Project) -> bool:
    return _held(person, project.memberships.filter(role=ProjectMembership.Role.PI))


@rules.predicate
def is_in_a_project(person: Person) -> bool:
    return _held(person, ProjectMembership.objects.all(), "in a project")


@rules.predicate
def manages_members_of(person: Person, project: Project) -> bool:
    """Principal investigators of the project and managers of its organisation."""
    return bool(is_pi(person, project) or manages(person, project.organisation))
