"""Who reviews for a call, what they know, and who is bound to whom."""

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.people.models import CentreRole, Organisation, User
from portal.people.rules import is_operator, is_reviewer
from quotas.applications.errors import Invalid
from quotas.programmes.models import Call
from quotas.proposals.models import Conflict
from quotas.proposals.services import conflict_declare
from quotas.reviews.errors import NotOperator, NotReviewer
from quotas.reviews.expertise import PRODUCT_GROUPS, SECTORS
from quotas.reviews.models import Assignment, CallReviewer, ReviewerProfile

OPEN_REVIEWS_MOST = 200


def expertise_set(
    *, person: User, reviewer: User, sectors: Sequence[str], product_groups: Sequence[str], open_reviews_limit: int
) -> ReviewerProfile:
    """What a reviewer knows, said by the reviewer or an operator. Raises NotOperator, NotReviewer, Invalid."""
    if person.pk != reviewer.pk and not is_operator(person):
        raise NotOperator
    if not is_reviewer(reviewer):
        raise NotReviewer
    if not set(sectors) <= dict(SECTORS).keys():
        raise Invalid(_("Choose sectors of the list."), field="sectors")
    if not set(product_groups) <= dict(PRODUCT_GROUPS).keys():
        raise Invalid(_("Choose product groups of the list."), field="product_groups")
    if not 1 <= open_reviews_limit <= OPEN_REVIEWS_MOST:
        raise Invalid(_("Use 1 to 200 reviews."), field="open_reviews_limit")
    with transaction.atomic(), acting(person, "expertise_set"):
        return ReviewerProfile.objects.update_or_create(
            user=reviewer,
            defaults={
                "sectors": sorted(set(sectors)),
                "product_groups": sorted(set(product_groups)),
                "open_reviews_limit": open_reviews_limit,
                "updated_at": now(),
            },
        )[0]


def reviewer_add(*, person: User, call: Call, reviewer: User) -> CallReviewer:
    """A person with the role reviewer reviews for a call. A second time changes nothing. Raises NotOperator,
    NotReviewer."""
    if not is_operator(person):
        raise NotOperator
    if not CentreRole.objects.filter(user=reviewer, role=CentreRole.Role.REVIEWER, user__is_active=True).exists():
        raise NotReviewer
    with transaction.atomic(), acting(person, "reviewer_add"):
        return CallReviewer.objects.get_or_create(
            call=call, user=reviewer, defaults={"added_by": person, "added_at": now()}
        )[0]


def reviewer_leave(*, person: User, call: Call, reviewer: User) -> None:
    """No new applications for this reviewer; those that are open are taken back one by one. Raises NotOperator, Invalid
    while some are open."""
    if not is_operator(person):
        raise NotOperator
    with transaction.atomic(), acting(person, "reviewer_leave"):
        open_ones = Assignment.objects.filter(
            application__call=call,
            reviewer=reviewer,
            state__in=[Assignment.State.ASSIGNED, Assignment.State.ACCEPTED],
        )
        if open_ones.exists():
            raise Invalid(_("This reviewer has open reviews in this call. Take them back first."))
        CallReviewer.objects.filter(call=call, user=reviewer).delete()


def conflict_name(*, person: User, organisation: Organisation, email: str, reason: str) -> Conflict:
    """A manager of the applying organisation, or who decides at the centre, names a person who is not to decide or to
    review. What that person reviews of the organisation ends at once. Raises Invalid; NotAllowed, Invalid of proposals.
    """
    named = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    if named is None:
        raise Invalid(_("Nobody here has this address."), field="email")
    return conflict_declare(person=named, organisation=organisation, reason=reason, declared_by=person)
