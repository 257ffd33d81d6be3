"""Who may decide."""

from portal.people.models import CentreRole, Membership, Organisation, ProjectMembership, User
from portal.people.rules import Person, centre_roles


def may_confirm(person: Person) -> bool:
    """Operators and approvers; never the one who proposed, which is the database's own rule."""
    return bool(centre_roles(person) & {CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER})


def has_conflict(person: Person, organisation: Organisation) -> bool:
    """Whoever belongs to the applying organisation, or to one of its projects, has no part in the decision."""
    if not isinstance(person, User):
        return False
    return (
        Membership.objects.filter(user=person, organisation=organisation).exists()
        or ProjectMembership.objects.filter(user=person, project__organisation=organisation).exists()
    )
