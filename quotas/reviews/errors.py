"""What can be refused about decisions, beside what applications refuse themselves."""

from django.utils.translation import gettext_lazy as _

from quotas.applications.errors import ApplicationError


class NotDecider(ApplicationError):
    message = _("An operator proposes a decision; an operator or an approver confirms it or sends it back.")


class ConflictOfInterest(ApplicationError):
    message = _("You are a member of the applying organisation, so other people decide on this application.")


class SamePerson(ApplicationError):
    """The database refused it: proposed and confirmed by one person."""

    message = _("You proposed this decision yourself. Another person must confirm it.")


class AwardRefused(ApplicationError):
    """What the award would have made is refused by the programme's budget or the organisation's people."""
