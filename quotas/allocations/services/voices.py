"""Who decides for the centre about a voucher, and how an organisation hears of it."""

from collections.abc import Callable

from portal.outbox.services import message_write
from portal.people.models import Membership, Organisation, User
from portal.people.rules import Person
from quotas.allocations.models import Voucher
from quotas.proposals.errors import ConflictOfInterest, NotAllowed
from quotas.proposals.rules import has_conflict


def centre_decides(person: User, organisation: Organisation, may: Callable[[Person], bool]) -> None:
    """Raises NotAllowed, ConflictOfInterest: nobody decides about an organisation that they are bound to."""
    if not may(person):
        raise NotAllowed
    if has_conflict(person, organisation):
        raise ConflictOfInterest


def managers_of(organisation: Organisation) -> list[User]:
    managed = Membership.objects.filter(organisation=organisation, role=Membership.Role.MANAGER)
    return list(User.objects.filter(pk__in=managed.values("user"), is_active=True).order_by("pk"))


def managers_tell(voucher: Voucher, about: str, *, key: str, **facts: object) -> None:
    """A mail to each manager of the voucher's organisation, in the caller's transaction; once for each key."""
    for manager in managers_of(voucher.organisation):
        message_write(
            topic="vouchers.tell",
            key=f"{key}:{manager.pk}",
            payload={"voucher": voucher.pk, "about": about, "person": manager.pk, **facts},
        )
