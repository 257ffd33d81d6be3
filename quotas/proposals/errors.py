"""What can be refused about proposals."""

from django.db import IntegrityError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from quotas.errors import Refusal, constraint_of


class ProposalError(Refusal):
    """A rule of proposals refused it. Nothing was written."""


class Invalid(ProposalError):
    """A value that no proposal may have."""


class NotAllowed(ProposalError):
    message = _("Your roles do not include this part of the decision.")


class ConflictOfInterest(ProposalError):
    message = _("You are bound to the organisation that this is about, so other people decide.")


class SamePerson(ProposalError):
    """The database refused it: one person in two parts of one proposal."""

    message = _("You proposed this yourself. Another person must approve it.")


class WrongState(ProposalError):
    """Somebody was first."""

    def __init__(self, state: str | Promise) -> None:
        super().__init__(_("This cannot be done any more: the proposal is now “%(state)s”.") % {"state": state})


class CannotBeCarriedOut(ProposalError):
    """What the proposal asks for is refused by the rules of what it changes. The approval was not kept."""


class Undecided(ProposalError):
    """The database refused it: carried out with fewer approvals than needed."""

    message = _("Not enough people have approved this.")


_APPROVED_ALREADY = _("You have approved this already. Another person must approve it too.")
_OTHER_PART = _("You have another part in this matter. Other people decide it.")
_PROPOSER_BOUND = _("Somebody who decided this has since been bound to the organisation. Send it back.")


def error_from(error: IntegrityError, state: str | Promise = "") -> ProposalError | None:
    """The typed error for a broken constraint of ours, or None where it is none."""
    known: dict[str, ProposalError] = {
        "approval_another_person": SamePerson(),
        "approval_once_a_person": SamePerson(_APPROVED_ALREADY),
        "approval_conflict_of_interest": ConflictOfInterest(),
        "approval_while_waiting": WrongState(state),
        "proposal_closed": WrongState(state),
        "proposal_approvals": Undecided(),
        "part_one_a_person": SamePerson(_OTHER_PART),  # of quotas.reviews
        "proposal_conflict_of_interest": ConflictOfInterest(_PROPOSER_BOUND),
    }
    return known.get(constraint_of(error))
