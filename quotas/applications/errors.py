"""What can be refused about applications and decisions. `field` names the form field that the message belongs
beside."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ApplicationError(Exception):
    """A rule of applications refused it. Nothing was written."""

    message: str | Promise = ""

    def __init__(self, message: str | Promise = "", *, field: str = "") -> None:
        super().__init__()
        self.message = message or self.message
        self.field = field

    def __str__(self) -> str:
        return str(self.message)


class Invalid(ApplicationError):
    """A value that no application or decision may have."""


class NotManager(ApplicationError):
    message = _("You can apply only for an organisation that you manage.")


class NotDecider(ApplicationError):
    message = _("An operator proposes a decision; an operator or an approver confirms it or sends it back.")


class ConflictOfInterest(ApplicationError):
    message = _("You are a member of the applying organisation, so other people decide on this application.")


class SamePerson(ApplicationError):
    """The database refused it: proposed and confirmed by one person."""

    message = _("You proposed this decision yourself. Another person must confirm it.")


class WrongState(ApplicationError):
    """Somebody was first, or the application was withdrawn."""

    def __init__(self, state: str | Promise) -> None:
        super().__init__(_("This cannot be done any more: the application is now “%(state)s”.") % {"state": state})


class AwardRefused(ApplicationError):
    """What the award would have made is refused by the programme's budget or the organisation's people."""
