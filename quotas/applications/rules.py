"""Who writes an application, who submits it, who reads it. Rules as queries: a list asks the database once."""

from collections.abc import Callable

import rules
from django.db.models import Q, QuerySet

from portal.people.models import Membership, User
from portal.people.rules import Person, asked_once, is_operator, manages, manages_any, reads_everything
from portal.people.selectors import organisations_managed
from quotas.applications.models import Application, Writer
from quotas.proposals.rules import has_conflict

Readers = Callable[[User], Q]
_readers: list[Readers] = []


def readers_register(readers: Readers) -> None:
    """Others who read applications once they were submitted, as a condition on them: reviewers, by what is above."""
    if readers not in _readers:
        _readers.append(readers)


def written_by(person: Person) -> Q:
    """The applications that the person writes: as a manager of the organisation, or named and still a member."""
    if not isinstance(person, User) or not person.is_active:
        return Q(pk__in=[])
    named = Writer.objects.filter(user=person).values("application")
    own = Membership.objects.filter(user=person).values("organisation")
    return Q(organisation__in=organisations_managed(person)) | Q(pk__in=named, organisation__in=own)


def read_by(person: Person) -> Q:
    """What the person may read: what he or she writes; once submitted all for those who read everything."""
    if not isinstance(person, User) or not person.is_active:
        return Q(pk__in=[])
    readable = written_by(person)
    if reads_everything(person):
        return readable | Q(submitted_at__isnull=False)
    for readers in _readers:
        readable |= Q(submitted_at__isnull=False) & readers(person)
    return readable


@rules.predicate
def writes_any(person: Person) -> bool:
    """Managers, and members who were named to write an application."""
    if not isinstance(person, User) or not person.is_active:
        return False
    return bool(manages_any(person)) or asked_once("writes any", person, Writer.objects.filter(user=person).exists)


def may_write(person: Person, application: Application) -> bool:
    return Application.objects.filter(written_by(person), pk=application.pk).exists()


def may_submit(person: Person, application: Application) -> bool:
    """Submitting and withdrawing bind the organisation: its managers do."""
    return manages(person, application.organisation)


def may_return(person: Person, application: Application) -> bool:
    """Operators without an interest in the organisation."""
    return is_operator(person) and not has_conflict(person, application.organisation)


def people_of(application: Application) -> QuerySet[User]:
    """Who is told what happens with it: managers, named writers who are still members, and who submitted it."""
    members = Membership.objects.filter(organisation=application.organisation_id)
    managers = members.filter(role=Membership.Role.MANAGER).values("user")
    named = Writer.objects.filter(application=application, user__in=members.values("user")).values("user")
    return User.objects.filter(Q(pk__in=managers) | Q(pk__in=named) | Q(pk=application.applicant_id), is_active=True)
