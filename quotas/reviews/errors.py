"""What can be refused about reviews and decisions, beside what applications refuse themselves."""

from django.db import IntegrityError
from django.utils.translation import gettext_lazy as _

from quotas.applications.errors import ApplicationError, OtherPart
from quotas.errors import constraint_of


class NotDecider(ApplicationError):
    message = _("An operator proposes a decision; an operator or an approver confirms it or sends it back.")


class NotOperator(ApplicationError):
    message = _("Operators arrange the reviews of a call.")


class NotReviewer(ApplicationError):
    message = _("This person is no reviewer of this call.")


class ConflictOfInterest(ApplicationError):
    message = _("You are bound to the applying organisation, so other people decide on this application.")


class ReviewerConflict(ApplicationError):
    message = _("This reviewer is bound to the applying organisation and cannot review it.")


class SamePerson(ApplicationError):
    """The database refused it: proposed and confirmed by one person."""

    message = _("You proposed this decision yourself. Another person must confirm it.")


class ReviewClosed(ApplicationError):
    message = _("This review is closed: it was submitted, or it ended.")


class ReviewIncomplete(ApplicationError):
    message = _("Give every criterion a score and a reason.")


class AwardRefused(ApplicationError):
    """What the award would have made is refused by the programme's budget or the organisation's people."""


def error_from(error: IntegrityError) -> ApplicationError | None:
    """The typed error for a broken constraint of reviews, or None where it is none."""
    known: dict[str, ApplicationError] = {
        "part_one_a_person": OtherPart(),
        "review_conflict_of_interest": ReviewerConflict(),
        "review_whole": ReviewIncomplete(),
        "review_submitted_stays": ReviewClosed(),
        "score_while_reviewing": ReviewClosed(),
    }
    return known.get(constraint_of(error))
