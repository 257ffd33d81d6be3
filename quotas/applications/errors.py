"""What can be refused about applications."""

from typing import TYPE_CHECKING

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from quotas.errors import Refusal

if TYPE_CHECKING:
    from quotas.applications.checks import Problem
    from quotas.applications.models import Answer


class ApplicationError(Refusal):
    """A rule of applications refused it. Nothing was written."""


class Invalid(ApplicationError):
    """A value that no application may have."""


class NotManager(ApplicationError):
    message = _("You can apply only for an organisation that you manage.")


class NotWriter(ApplicationError):
    message = _("An application is written by the organisation's managers and by the members whom they name.")


class NotReturner(ApplicationError):
    message = _("Operators return an application for changes.")


class EditedMeanwhile(ApplicationError):
    """Another person changed the field since it was read. `answer` is what stands there, `text` what was sent."""

    message = _("Somebody else changed this while you were writing. Nothing of either text is lost.")

    def __init__(self, *, answer: "Answer", text: str) -> None:
        super().__init__(field=answer.key)
        self.answer = answer
        self.text = text


class Incomplete(ApplicationError):
    """What stands in the way of submitting: `problems`, each with its field and section."""

    message = _("The application is not complete yet. What is missing is listed.")

    def __init__(self, problems: "list[Problem]") -> None:
        super().__init__()
        self.problems = problems


class CallClosed(ApplicationError):
    """The call has closed, and the grace after it is over. What was written stays."""


class OtherPart(ApplicationError):
    """The database refused it: one person in two parts of one application."""

    message = _("This person has another part in this application already: applicant, reviewer, proposer or approver.")


class WrongState(ApplicationError):
    """Somebody was first, or the application was withdrawn."""

    def __init__(self, state: str | Promise) -> None:
        super().__init__(_("This cannot be done any more: the application is now “%(state)s”.") % {"state": state})
