"""What is refused, in words for the person who asked."""

from collections.abc import Iterable

from django.utils.translation import gettext as _

from scheduler.jobs.preflight import Problem


class JobRefused(Exception):
    """Nothing was written. Each problem names the form field that it belongs beside and, where there is one, a fix."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.code for problem in self.problems))

    def __str__(self) -> str:
        return " ".join(str(problem) for problem in self.problems)


class JobEnded(Exception):
    """The job is over: there is nothing left to cancel."""

    def __str__(self) -> str:
        return _("This job has already ended.")


class VerbImpossible(Exception):
    """What was asked of a job cannot be done; `str(error)` says why, in the language that was active. Nothing was
    written."""
