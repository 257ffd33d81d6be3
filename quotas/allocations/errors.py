"""What can be refused, each with the figures a person needs. Every amount is GPU-seconds.

`str(error)` is a sentence for a person, in the language that is active when it is asked for.
"""

from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from quotas.units import gpu_hours_text, vnd_text


class QuotaError(Exception):
    """A rule of vouchers and allocations refused it. Nothing was written."""


class BalanceTooSmall(QuotaError):
    def __init__(self, *, free_gpu_seconds: int, needed_gpu_seconds: int) -> None:
        super().__init__(free_gpu_seconds, needed_gpu_seconds)
        self.free_gpu_seconds = free_gpu_seconds
        self.needed_gpu_seconds = needed_gpu_seconds

    def __str__(self) -> str:
        return _("%(free)s GPU-hours are free; this needs %(needed)s.") % {
            "free": gpu_hours_text(self.free_gpu_seconds),
            "needed": gpu_hours_text(self.needed_gpu_seconds, up=True),
        }


class PoolTooSmall(QuotaError):
    def __init__(self, *, programme: str, gpu_type: str, free_gpu_seconds: int, needed_gpu_seconds: int) -> None:
        super().__init__(programme, gpu_type, free_gpu_seconds, needed_gpu_seconds)
        self.programme = programme
        self.gpu_type = gpu_type
        self.free_gpu_seconds = free_gpu_seconds
        self.needed_gpu_seconds = needed_gpu_seconds

    def __str__(self) -> str:
        return _("%(programme)s has %(free)s %(gpu_type)s GPU-hours left; this needs %(needed)s.") % {
            "programme": self.programme,
            "gpu_type": self.gpu_type.upper(),
            "free": gpu_hours_text(self.free_gpu_seconds),
            "needed": gpu_hours_text(self.needed_gpu_seconds, up=True),
        }


class AllocationNotOpen(QuotaError):
    """`state` is the allocation's state; "active" means that the dates are the reason."""

    def __init__(self, *, state: str, starts_on: date, ends_on: date) -> None:
        super().__init__(state, starts_on, ends_on)
        self.state = state
        self.starts_on = starts_on
        self.ends_on = ends_on

    def __str__(self) -> str:
        if self.state == "suspended":
            return _("The allocation is suspended.")
        if self.state == "closed":
            return _("The allocation is closed.")
        dates = {"from": date_format(self.starts_on), "to": date_format(self.ends_on)}
        if self.state == "expired":
            return _("The allocation has expired: it was open from %(from)s to %(to)s.") % dates
        return _("The allocation is open from %(from)s to %(to)s.") % dates


class WrongState(QuotaError):
    """A verb does not fit the state that the allocation, tranche or withdrawal is in (somebody was first, perhaps)."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state

    def __str__(self) -> str:
        return _("This cannot be done any more: the state is now “%(state)s”.") % {"state": self.state}


class ProjectOfAnotherOrganisation(QuotaError):
    def __str__(self) -> str:
        return _("The project belongs to another organisation.")


class OtherVoucher(QuotaError):
    """A move would cross to another price or GPU type: those are a voucher's."""

    def __str__(self) -> str:
        return _(
            "A move stays within one voucher, which has one GPU type and one price. For another GPU type ask for a "
            "change of the voucher: it is exchanged at the ratio of the tariffs."
        )


class ClusterClosed(QuotaError):
    """The cluster takes nothing new: retired by the centre, or no worker of the portal follows it."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.title = title

    def __str__(self) -> str:
        return _("%(cluster)s takes no new allocations.") % {"cluster": self.title}


class TariffsDiffer(QuotaError):
    """The same GPU type has another price on the other cluster, and a voucher has one price."""

    def __init__(self, *, gpu_type: str, here: str, here_vnd: int | None, there: str, there_vnd: int | None) -> None:
        super().__init__(gpu_type, here, here_vnd, there, there_vnd)
        self.gpu_type = gpu_type
        self.here, self.here_vnd = here, here_vnd
        self.there, self.there_vnd = there, there_vnd

    def __str__(self) -> str:
        text = _(
            "Today a %(gpu_type)s GPU-hour costs %(here_vnd)s VND on %(here)s and %(there_vnd)s VND on %(there)s. A "
            "voucher has one price, so its GPU-hours do not move between them: return them and apply anew."
        )
        return text % {
            "gpu_type": self.gpu_type.upper(),
            "here": self.here,
            "here_vnd": _vnd(self.here_vnd),
            "there": self.there,
            "there_vnd": _vnd(self.there_vnd),
        }


def _vnd(amount_vnd: int | None) -> str:
    return "–" if amount_vnd is None else vnd_text(amount_vnd)


class GPUTypeUnknown(QuotaError):
    def __init__(self, gpu_type: str) -> None:
        super().__init__(gpu_type)
        self.gpu_type = gpu_type

    def __str__(self) -> str:
        return _("The programme has no budget for the GPU type %(gpu_type)s.") % {"gpu_type": self.gpu_type.upper()}


class AmountAboveCharge(QuotaError):
    """A refund or a correction takes back more than the charge still carries."""

    def __init__(self, *, left_gpu_seconds: int, wanted_gpu_seconds: int) -> None:
        super().__init__(left_gpu_seconds, wanted_gpu_seconds)
        self.left_gpu_seconds = left_gpu_seconds
        self.wanted_gpu_seconds = wanted_gpu_seconds

    def __str__(self) -> str:
        return _("%(left)s GPU-seconds of this charge can still be given back; %(wanted)s were asked for.") % {
            "left": f"{self.left_gpu_seconds:,}",
            "wanted": f"{self.wanted_gpu_seconds:,}",
        }


class ChargeUnknown(QuotaError):
    def __str__(self) -> str:
        return _("There is no such charge on this allocation.")


class MoneyTooSmall(QuotaError):
    """The programme's budget in VND does not reach for the state's share."""

    def __init__(self, *, programme: str, free_vnd: int, needed_vnd: int) -> None:
        super().__init__(programme, free_vnd, needed_vnd)
        self.programme = programme
        self.free_vnd = free_vnd
        self.needed_vnd = needed_vnd

    def __str__(self) -> str:
        return _("%(programme)s has %(free)s VND left; the state's share of this is %(needed)s VND.") % {
            "programme": self.programme,
            "free": vnd_text(self.free_vnd),
            "needed": vnd_text(self.needed_vnd),
        }


class NotEligible(QuotaError):
    def __init__(self, organisation_kind: str) -> None:
        super().__init__(organisation_kind)
        self.organisation_kind = organisation_kind

    def __str__(self) -> str:
        return _("The programme has no state share for this kind of organisation (%(kind)s).") % {
            "kind": self.organisation_kind
        }


class AwardTooLarge(QuotaError):
    """Above the programme's rule; both texts carry their unit."""

    def __init__(self, *, largest: str, wanted: str) -> None:
        super().__init__(largest, wanted)
        self.largest = largest
        self.wanted = wanted

    def __str__(self) -> str:
        return _("The programme's largest award is %(largest)s; this is %(wanted)s.") % {
            "largest": self.largest,
            "wanted": self.wanted,
        }


class TooManyVouchers(QuotaError):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return _("The organisation has %(limit)s open vouchers of this programme already, as many as it may have.") % {
            "limit": self.limit
        }


class CloseOutOpen(QuotaError):
    """An ended voucher whose close-out is not done bars the next award."""

    def __init__(self, number: str) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return _("The close-out of voucher %(number)s is still open; it comes before the next award.") % {
            "number": self.number
        }


class VoucherEnded(QuotaError):
    def __init__(self, ends_on: date) -> None:
        super().__init__(ends_on)
        self.ends_on = ends_on

    def __str__(self) -> str:
        return _("The voucher ended on %(day)s.") % {"day": date_format(self.ends_on)}


class Invalid(QuotaError):
    """A value that cannot be; `field` names the form field that the message belongs beside."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field
