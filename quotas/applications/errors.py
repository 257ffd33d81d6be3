"""What can be refused about applications. `field` names the form field that the message belongs
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
    """A value that no application may have."""


class NotManager(ApplicationError):
    message = _("You can apply only for an organisation that you manage.")


class WrongState(ApplicationError):
    """Somebody was first, or the application was withdrawn."""

    def __init__(self, state: str | Promise) -> None:
        super().__init__(_("This cannot be done any more: the application is now “%(state)s”.") % {"state": state})
