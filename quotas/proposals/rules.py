"""Who may decide, and who may not because of an interest."""

from django.db.models import Q, QuerySet

from portal.people.models import CentreRole, Membership, Organisation, ProjectMembership, User
from portal.people.rules import Person, centre_roles
from quotas.proposals.models import Conflict


def may_approve(person: Person) -> bool:
    """Operators and approvers; never the one who proposed, which is the database's own rule."""
    return bool(centre_roles(person) & {CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER})


def organisations_in_conflict(person: Person) -> QuerySet[Organisation]:
    """The organisations in whose matters the person takes no part: as a member, a member of one of their projects, or
    by a declared interest. (The database's own form of it: proposals_has_conflict in migrations/0002_rules.sql.)
    """
    if not isinstance(person, User):
        return Organisation.objects.none()
    return Organisation.objects.filter(
        Q(pk__in=Membership.objects.filter(user=person).values("organisation"))
        | Q(pk__in=ProjectMembership.objects.filter(user=person).values("project__organisation"))
        | Q(pk__in=Conflict.objects.filter(person=person).values("organisation"))
    )


def has_conflict(person: Person, organisation: Organisation) -> bool:
    """Whoever is bound to an organisation has no part in a decision about it."""
    return organisations_in_conflict(person).filter(pk=organisation.pk).exists()
