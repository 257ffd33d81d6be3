"""Mails about vouchers: one subject and one short text for each occasion, in the reader's language."""

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.people.models import User
from quotas.allocations.models import ChangeRequest, CloseOut, ProgressReport, Voucher
from quotas.allocations.vouchers import voucher_balances, voucher_forecast
from quotas.units import gpu_hours_text

Words = tuple[str, str]  # subject, text


def voucher_mail(payload: Mapping[str, Any]) -> None:
    """Sends one. A person who was deactivated since gets none."""
    person = User.objects.filter(pk=payload["person"], is_active=True).first()
    if person is None:
        return
    voucher = Voucher.objects.select_related("organisation", "programme").get(pk=payload["voucher"])
    with translation.override(person.language):
        subject, text = _OCCASIONS[payload["about"]](voucher, payload)
        address = settings.SITE_URL.rstrip("/") + reverse("vouchers:voucher", args=[voucher.number])
        context = {"person": person, "voucher": voucher, "text": text, "address": address}
        send_mail(" ".join(subject.split()), render_to_string("vouchers/mail.txt", context), None, [person.email])


def _used(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    balance = voucher_balances([voucher])[voucher.pk]
    forecast = voucher_forecast(voucher, balance=balance)
    subject = _("Voucher %(number)s: %(percent)d %% used") % {"number": voucher.number, "percent": payload["percent"]}
    text = _("%(hours)s GPU-hours remain.") % {"hours": gpu_hours_text(max(balance.remaining, 0))}
    if forecast.until is not None and balance.remaining > 0:
        lasts = _("At the average of the last %(days)d days this lasts until %(day)s.")
        text += " " + lasts % {"days": forecast.days, "day": date_format(forecast.until)}
    return subject, text


def _ends(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    balance = voucher_balances([voucher])[voucher.pk]
    days = payload["days"]
    left = ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}
    text = _(
        "Its last day is %(day)s. %(hours)s GPU-hours are unused; what is unused then expires. Jobs that run by then "
        "keep what they hold; no new ones start."
    )
    figures = {"day": date_format(voucher.ends_on), "hours": gpu_hours_text(max(balance.remaining, 0))}
    return _("Voucher %(number)s: %(left)s") % {"number": voucher.number, "left": left}, text % figures


def _report_decided(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    report = ProgressReport.objects.select_related("tranche").get(pk=payload["report"])
    if report.state == ProgressReport.State.ACCEPTED:
        subject = _("Voucher %(number)s: the progress report was accepted") % {"number": voucher.number}
        text = _("Tranche %(tranche)d is released: %(hours)s GPU-hours.") % {
            "tranche": report.tranche.number,
            "hours": gpu_hours_text(report.tranche.amount_gpu_seconds),
        }
    else:
        subject = _("Voucher %(number)s: the progress report was returned") % {"number": voucher.number}
        text = _("It can be brought again.")
    return subject, f"{text}\n\n{report.answer}".strip()


def _change_closed(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    change = ChangeRequest.objects.get(pk=payload["change"])
    if change.state == ChangeRequest.State.APPLIED:
        subject = _("Voucher %(number)s: the change was made") % {"number": voucher.number}
    else:
        subject = _("Voucher %(number)s: the change was declined") % {"number": voucher.number}
    return subject, f"{change.get_kind_display()}\n\n{change.answer}".strip()


def _close_out_opened(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    text = _(
        "The voucher has ended. Please bring the final report with links to the model, the method and the data; an "
        "operator then checks each commitment. Until that is done the organisation can get no further award."
    )
    return _("Voucher %(number)s: the final report is due") % {"number": voucher.number}, text


def _close_out_returned(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    reason = CloseOut.objects.values_list("returned_reason", flat=True).get(voucher=voucher)
    return _("Voucher %(number)s: the final report was returned") % {"number": voucher.number}, reason


def _close_out_closed(voucher: Voucher, payload: Mapping[str, Any]) -> Words:
    text = _("The result is public now: %(address)s") % {
        "address": settings.SITE_URL.rstrip("/") + reverse("vouchers:result", args=[voucher.number])
    }
    return _("Voucher %(number)s: the close-out is done") % {"number": voucher.number}, text


_OCCASIONS: dict[str, Callable[[Voucher, Mapping[str, Any]], Words]] = {
    "used": _used,
    "ends": _ends,
    "report_decided": _report_decided,
    "change_closed": _change_closed,
    "close_out_opened": _close_out_opened,
    "close_out_returned": _close_out_returned,
    "close_out_closed": _close_out_closed,
}
