"""A programme's rules for a reader: every label with its value, no right and no limit included."""

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from portal.people.models import Organisation
from quotas.programmes.models import WHOLE_BASIS_POINTS
from quotas.programmes.terms import Terms
from quotas.units import SECONDS_PER_HOUR, gpu_hours_text, percent_text, vnd_text


def shares_lines(terms: Terms) -> list[tuple[str, int | None, int | None]]:
    """Every kind of organisation with the state's part and its own, in basis points; None where it may not apply."""
    lines = []
    for kind, label in Organisation.Kind.choices:
        share = terms.shares.get(kind)
        lines.append((str(label), share, None if share is None else WHOLE_BASIS_POINTS - share))
    return lines


def limits_lines(terms: Terms) -> list[tuple[str, str]]:
    none = _("no limit")
    hours, vnd, count = terms.largest_award_gpu_hours, terms.largest_award_vnd, terms.open_vouchers_limit
    above = terms.three_person_above_vnd
    largest = None if hours is None else {"hours": gpu_hours_text(hours * SECONDS_PER_HOUR)}
    return [
        (_("Largest award"), none if largest is None else _("%(hours)s GPU-hours") % largest),
        (_("Largest award in money"), none if vnd is None else f"{vnd_text(vnd)} VND"),
        (_("Open vouchers an organisation may hold"), none if count is None else str(count)),
        (_("Two approvers above"), _("never") if above is None else f"{vnd_text(above)} VND"),
        (_("Clawback"), _clawback(terms)),
    ]


def terms_lines(terms: Terms) -> dict[str, str]:
    """All of it, for a comparison of two."""
    shares = {
        _("State share, %(kind)s") % {"kind": label}: _("may not apply") if share is None else percent_text(share)
        for label, share, _own in shares_lines(terms)
    }
    return shares | dict(limits_lines(terms))


def _clawback(terms: Terms) -> str:
    if terms.clawback_on is None:
        return _("none")
    return _("%(share)s of the unspent on %(day)s") % {
        "share": percent_text(terms.clawback_basis_points),
        "day": date_format(terms.clawback_on),
    }
