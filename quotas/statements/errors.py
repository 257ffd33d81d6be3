"""What can be refused. `str(error)` is a sentence for a person, in the language that is active when it is asked for."""

from django.utils.translation import gettext as _


class StatementError(Exception):
    """A rule of periods and statements refused it. Nothing was written."""


class MonthNotOver(StatementError):
    def __init__(self, month: str) -> None:
        super().__init__(month)
        self.month = month

    def __str__(self) -> str:
        return _("%(month)s is not over yet in the centre's time zone.") % {"month": self.month}


class NothingToCorrect(StatementError):
    """A statement that agrees with the ledger, and whose names still hold, is not issued a second time."""

    def __str__(self) -> str:
        return _("The statement agrees with the ledger and with the names of today: there is nothing to correct.")


class AlreadyCorrected(StatementError):
    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by

    def __str__(self) -> str:
        return _("The statement was corrected by %(number)s: correct that one.") % {"number": self.by}


class DoesNotAddUp(StatementError):
    """Opening + movements is not closing: a fault in the program or in the ledger. No statement is issued of it."""


class TypesettingFailed(StatementError):
    """The PDF was not made: out of its limits of time or memory, or the document asked for what it may not have."""
