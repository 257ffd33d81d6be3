"""What stands in the way of submitting an application: rules of fields, of the whole, and of the programme.

Nothing here is written. A draft may break every rule; the page that submits lists what is broken, with links.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from portal.clock import centre_date, now
from portal.people.models import Organisation
from quotas.allocations.models import Voucher
from quotas.applications.errors import Invalid
from quotas.applications.fields import ATTACHMENTS, PROJECT, REQUEST, RISK, Field, Kind
from quotas.applications.models import Application
from quotas.applications.risk import FORBIDDEN, Tier, needs_area_questions, risk_of
from quotas.applications.values import value_of
from quotas.programmes.models import Programme
from quotas.programmes.selectors import worth_today_vnd
from quotas.programmes.terms import Terms, terms_of
from quotas.units import SECONDS_PER_HOUR, vnd_text

AREA_QUESTIONS = ("risk_narrow_task", "risk_profiles_people")


@dataclass(frozen=True)
class Problem:
    """`key` is the field it stands beside, "" where it is about a whole section. `is_missing`: nothing is there yet."""

    section: str
    key: str
    message: str
    label: str = ""
    is_missing: bool = False


def problems_of(
    application: Application, fields: Mapping[str, Field], answers: Mapping[str, Any], files: set[str]
) -> list[Problem]:
    """Everything that is missing or wrong, in the order of the form. `files`: questions that have their file."""
    found = [problem for field in fields.values() if (problem := _of_field(application, field, answers, files))]
    found += _of_the_whole(application, answers)
    found += _of_the_programme(application, answers)
    found += _of_comments(application)
    order = list(fields)
    return sorted(
        found, key=lambda one: (_section_order(one.section), order.index(one.key) if one.key in order else -1)
    )


def eligibility(organisation: Organisation, programme: Programme, *, terms: Terms | None = None) -> str:
    """Why the organisation may not apply to the programme at all; "" where it may."""
    terms = terms or terms_of(programme)
    if organisation.verification == Organisation.Verification.REJECTED:
        return _("The verification of this organisation was rejected. It cannot apply; ask the centre why.")
    if organisation.imported:
        return _("This organisation stands for imported history. It cannot apply.")
    if organisation.kind not in terms.shares:
        return _("The programme “%(programme)s” has no state share for this kind of organisation (%(kind)s).") % {
            "programme": programme.name,
            "kind": organisation.get_kind_display(),
        }
    limit = terms.open_vouchers_limit
    if limit is not None and open_vouchers(organisation, programme) >= limit:
        return _("The organisation holds %(count)d open vouchers of this programme, and may hold no more.") % {
            "count": limit
        }
    return ""


def open_vouchers(organisation: Organisation, programme: Programme) -> int:
    """Vouchers whose days are not over."""
    today = centre_date(now())
    return Voucher.objects.filter(
        organisation=organisation, programme=programme, imported=False, ends_on__gte=today
    ).count()


def _section_order(section: str) -> int:
    order = (PROJECT, "model", RISK, "openness", "questions", ATTACHMENTS, REQUEST)
    return order.index(section) if section in order else len(order)


def _of_field(application: Application, field: Field, answers: Mapping[str, Any], files: set[str]) -> Problem | None:
    label = str(field.label)
    if application.call_id is None and not field.is_basic:
        return None
    value = answers.get(field.key)
    is_there = field.key in files if field.kind == Kind.FILE else value is not None
    if not is_there:
        counts = field.required or (field.key in AREA_QUESTIONS and needs_area_questions(answers))
        return Problem(field.section, field.key, _("This is missing."), label, is_missing=True) if counts else None
    if field.kind != Kind.FILE:
        try:  # the list of choices, or the question, may be another one than when it was written
            value_of(field, str(value))
        except Invalid as error:
            return Problem(field.section, field.key, str(error), label)
    return None


def _of_the_whole(application: Application, answers: Mapping[str, Any]) -> list[Problem]:
    found = []
    if application.call_id is not None and risk_of(answers).tier == Tier.UNACCEPTABLE:
        message = _("What Article 5 of the EU AI Act forbids is not supported.")
        found += [Problem(RISK, one.key, message, _("Risk")) for one in FORBIDDEN if answers.get(one.key) == "yes"]
    found += _of_days(application, answers)
    if application.organisation.verification != Organisation.Verification.VERIFIED:
        message = _("The organisation is not verified yet. The centre checks its tax code; you can write meanwhile.")
        found.append(Problem(PROJECT, "", message, _("Organisation")))
    return found


def _of_days(application: Application, answers: Mapping[str, Any]) -> list[Problem]:
    today, ends_on = centre_date(now()), application.programme.ends_on
    first, last = (_date(answers.get(key)) for key in ("starts_on", "ends_on"))
    found = []
    if first is not None and first < today:
        found.append(Problem(REQUEST, "starts_on", _("The first day cannot lie in the past."), _("From")))
    if first is not None and last is not None and last < first:
        found.append(Problem(REQUEST, "ends_on", _("The last day cannot come before the first."), _("To")))
    elif last is not None and last > ends_on:
        found.append(Problem(REQUEST, "ends_on", _("The programme ends before this day."), _("To")))
    return found


def _of_the_programme(application: Application, answers: Mapping[str, Any]) -> list[Problem]:
    programme, terms = application.programme, terms_of(application.programme)
    found = []
    today = centre_date(now())
    if programme.imported or not programme.starts_on <= today <= programme.ends_on:
        message = _("This programme takes no applications today.")
        found.append(Problem(PROJECT, "programme", message, _("Programme")))
    # A programme of before there were shares has none at all; a call always needs them.
    if (application.call_id is not None or terms.shares) and (
        why_not := eligibility(application.organisation, programme, terms=terms)
    ):
        found.append(Problem(PROJECT, "", why_not, _("Organisation")))
    hours, gpu_type = answers.get("gpu_hours"), answers.get("gpu_type")
    label = _("GPU-hours asked for")
    if hours and terms.largest_award_gpu_hours is not None and hours > terms.largest_award_gpu_hours:
        message = _("The programme awards at most %(most)s GPU-hours.") % {
            "most": vnd_text(terms.largest_award_gpu_hours)
        }
        found.append(Problem(REQUEST, "gpu_hours", message, label))
    elif hours and gpu_type and terms.largest_award_vnd is not None:
        vnd = worth_today_vnd(gpu_type, hours * SECONDS_PER_HOUR)
        if vnd is not None and vnd > terms.largest_award_vnd:
            message = _("This is worth %(vnd)s VND at today's tariff; the programme awards at most %(most)s VND.") % {
                "vnd": vnd_text(vnd),
                "most": vnd_text(terms.largest_award_vnd),
            }
            found.append(Problem(REQUEST, "gpu_hours", message, label))
    return found


def _of_comments(application: Application) -> list[Problem]:
    if application.state != Application.State.RETURNED:
        return []
    waiting = application.comments.filter(resolved_at__isnull=True).count()
    if not waiting:
        return []
    message = _("Comments that are not marked as resolved: %(count)d.") % {"count": waiting}
    return [Problem("review", "", message, _("Comments of the centre"))]


def _date(value: Any) -> date | None:
    return date.fromisoformat(value) if value else None
