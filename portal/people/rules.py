"""Roles as predicates. Each asks the database once and takes any `request.user`, logged in or not.

Compose them with `|` and `&`: `reads_everything = is_operator | is_approver | is_auditor`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar, cast

import rules
from django.contrib.auth.models import AnonymousUser
from django.db import connection

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


@dataclass(frozen=True, slots=True)
class Standing:
    """Every role that a person holds: the centre's, and those in organisations and projects, by their numbers."""

    centre: frozenset[str] = frozenset()
    organisations: frozenset[tuple[int, str]] = frozenset()
    projects: frozenset[tuple[int, str]] = frozenset()


def standing_of(person: Person) -> Standing:
    """In one query; no role for a stranger and for a person who was deactivated."""
    if not isinstance(person, User) or not person.is_active:
        return Standing()
    return asked_once("standing", person, lambda: _standing(person))


# Written out, since every page and every order asks it: to have Django put it together takes ten times as long.
_STANDING = """
    SELECT 'centre', 0, role FROM people_centrerole WHERE user_id = %(person)s
    UNION ALL SELECT 'organisation', organisation_id, role FROM people_membership WHERE user_id = %(person)s
    UNION ALL SELECT 'project', project_id, role FROM people_projectmembership WHERE user_id = %(person)s
"""


def _standing(person: User) -> Standing:
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, {"person": person.pk})
        rows = cursor.fetchall()
    return Standing(
        centre=frozenset(role for of, _number, role in rows if of == "centre"),
        organisations=frozenset((number, role) for of, number, role in rows if of == "organisation"),
        projects=frozenset((number, role) for of, number, role in rows if of == "project"),
    )


def centre_roles(person: Person) -> frozenset[str]:
    """The person's roles of the centre; empty for a stranger and for a person who was deactivated."""
    return standing_of(person).centre


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
    return (organisation.pk, Membership.Role.MANAGER) in standing_of(person).organisations


@rules.predicate
def manages_any(person: Person) -> bool:
    return any(role == Membership.Role.MANAGER for _organisation, role in standing_of(person).organisations)


@rules.predicate
def is_in_an_organisation(person: Person) -> bool:
    return bool(standing_of(person).organisations)


@rules.predicate
def is_member(person: Person, project: Project) -> bool:
    """A researcher or principal investigator of the project: one who may run jobs in it."""
    return any(of == project.pk for of, _role in standing_of(person).projects)


@rules.predicate
def is_pi(person: Person, project: Project) -> bool:
    return (project.pk, ProjectMembership.Role.PI) in standing_of(person).projects


@rules.predicate
def is_in_a_project(person: Person) -> bool:
    return bool(standing_of(person).projects)


@rules.predicate
def manages_members_of(person: Person, project: Project) -> bool:
    """Principal investigators of the project and managers of its organisation."""
    return bool(is_pi(person, project) or manages(person, project.organisation))
