"""What a change of programmes can be refused for. `str(error)` is a sentence for a person."""

from django.utils.translation import gettext as _


class ProgrammeError(Exception):
    """A rule of programmes refused it. Nothing was written."""


class BudgetInvalid(ProgrammeError):
    def __str__(self) -> str:
        return _("A budget needs a GPU type in lower-case letters and digits, and a positive number of GPU-seconds.")


class ProgrammeExists(ProgrammeError):
    def __str__(self) -> str:
        return _("A programme with this name or short name exists already.")
