"""What a change of programmes, tariffs and calls can be refused for. `field` names the form field that the message
belongs beside; `str(error)` is a sentence for a person."""

from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from quotas.units import gpu_hours_text, vnd_text


class ProgrammeError(Exception):
    """A rule of programmes refused it. Nothing was written."""

    field = ""


class Invalid(ProgrammeError):
    """A value that no programme, tariff or call may have. `position`: the row of a list that it is about, from 0."""

    def __init__(self, message: str, *, field: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.position = position


class BudgetInvalid(ProgrammeError):
    def __str__(self) -> str:
        return _("A budget needs a GPU type in lower-case letters and digits, and a positive number of GPU-seconds.")


class BudgetTooSmall(ProgrammeError):
    """More is taken back than is free. Both in GPU-seconds of the type, or in VND where there is none."""

    def __init__(self, *, gpu_type: str | None, free: int, wanted: int) -> None:
        super().__init__(gpu_type, free, wanted)
        self.gpu_type = gpu_type
        self.free = free
        self.wanted = wanted

    def __str__(self) -> str:
        if self.gpu_type is None:
            return _("%(free)s VND are free; %(wanted)s cannot be taken back.") % {
                "free": vnd_text(self.free),
                "wanted": vnd_text(self.wanted),
            }
        return _("%(free)s %(gpu_type)s GPU-hours are free; %(wanted)s cannot be taken back.") % {
            "gpu_type": self.gpu_type.upper(),
            "free": gpu_hours_text(self.free),
            "wanted": gpu_hours_text(self.wanted, up=True),
        }


class ProgrammeExists(ProgrammeError):
    def __str__(self) -> str:
        return _("A programme with this name or short name exists already.")


class CallExists(ProgrammeError):
    field = "slug"

    def __str__(self) -> str:
        return _("A call with this short name exists already.")


class RulesNeedTwoPeople(ProgrammeError):
    """A programme that has a budget changes its rules through a proposal only."""

    def __str__(self) -> str:
        return _("The programme has a budget: another person must approve a change of its rules.")


class TariffMissing(ProgrammeError):
    def __init__(self, *, gpu_type: str, day: date) -> None:
        super().__init__(gpu_type, day)
        self.gpu_type = gpu_type
        self.day = day

    def __str__(self) -> str:
        return _("There is no tariff for %(gpu_type)s on %(day)s.") % {
            "gpu_type": self.gpu_type.upper(),
            "day": date_format(self.day),
        }


class CriteriaFixed(ProgrammeError):
    def __str__(self) -> str:
        return _("The first score was given: the criteria of this call cannot change any more.")
