"""The days that a report's address asks for."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from monitoring.days import Days, last_month, this_month, this_year
from monitoring.reports.forms import DaysForm
from portal.clock import centre_date, now
from portal.web.requests import PersonRequest


def days_form(request: PersonRequest) -> DaysForm:
    """Of the address; this month where it names no day."""
    if "from" in request.GET or "to" in request.GET:
        return DaysForm(request.GET)
    days = this_month(centre_date(now()))
    return DaysForm({"from": days.first, "to": days.last})


def days_query(days: Days) -> str:
    return "?" + urlencode({"from": days.first, "to": days.last})


def shortcuts_of(chosen: Days | None) -> Sequence[tuple[str, str, bool]]:
    """Label, address, whether it is the one that is shown."""
    today = centre_date(now())
    parts = [
        (_("This month"), this_month(today)),
        (_("Last month"), last_month(today)),
        (_("This year"), this_year(today)),
    ]
    return [(label, days_query(days), days == chosen) for label, days in parts]
