"""Who may decide."""

from portal.people.models import CentreRole
from portal.people.rules import Person, centre_roles


def may_confirm(person: Person) -> bool:
    """Operators and approvers; never the one who proposed, which is the database's own rule."""
    return bool(centre_roles(person) & {CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER})
