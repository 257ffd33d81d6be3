"""What programmes let several people decide: budgets, rules, tariffs. How each reads to those who approve it."""

from datetime import date
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.people.models import Organisation
from quotas.programmes.errors import ProgrammeError
from quotas.programmes.models import Programme
from quotas.programmes.selectors import budget_of, pool_balances
from quotas.programmes.services.budgets import budget_carry_out
from quotas.programmes.services.programmes import terms_carry_out
from quotas.programmes.services.tariffs import tariff_carry_out
from quotas.programmes.terms import Terms
from quotas.proposals import kinds
from quotas.proposals.kinds import Fact
from quotas.proposals.models import Proposal
from quotas.units import gpu_hours_text, percent_text, vnd_text


def register() -> None:
    kinds.register(
        kinds.Kind(
            name="budget",
            label=gettext_lazy("Programme budget"),
            carry_out=budget_carry_out,
            describe=_budget_describe,
            summary=_budget_summary,
            url=_programme_url,
            refusals=(ProgrammeError,),
        )
    )
    kinds.register(
        kinds.Kind(
            name="programme_rules",
            label=gettext_lazy("Programme rules"),
            carry_out=terms_carry_out,
            describe=_terms_describe,
            summary=lambda proposal: str(proposal.facts["name"]),
            url=_programme_url,
            refusals=(ProgrammeError,),
        )
    )
    kinds.register(
        kinds.Kind(
            name="tariff",
            label=gettext_lazy("Tariff"),
            carry_out=tariff_carry_out,
            describe=_tariff_describe,
            summary=_tariff_summary,
            url=lambda proposal: reverse("programmes:tariffs"),
            refusals=(ProgrammeError,),
        )
    )


def _programme_url(proposal: Proposal) -> str:
    slug = Programme.objects.values_list("slug", flat=True).get(pk=proposal.facts["programme"])
    return reverse("programmes:programme", args=[slug])


# --- budgets --------------------------------------------------------------------------------------------------------


def _amounts(proposal: Proposal) -> list[str]:
    vnd, gpu_seconds = proposal.facts["vnd"], proposal.facts["gpu_seconds"]
    texts = [_signed(vnd, f"{vnd_text(abs(vnd))} VND")] if vnd else []
    for gpu_type, amount in sorted(gpu_seconds.items()):
        hours = _("%(hours)s GPU-hours of %(gpu_type)s") % {
            "hours": gpu_hours_text(abs(amount)),
            "gpu_type": gpu_type.upper(),
        }
        texts.append(_signed(amount, hours))
    return texts


def _signed(amount: int, text: str) -> str:
    return f"{'+' if amount > 0 else '−'}\N{NO-BREAK SPACE}{text}"


def _budget_summary(proposal: Proposal) -> str:
    return f"{proposal.facts['name']}: {', '.join(_amounts(proposal))}"


def _budget_describe(proposal: Proposal) -> list[Fact]:
    programme = Programme.objects.get(pk=proposal.facts["programme"])
    facts: list[Fact] = [(_("Programme"), programme.name)]
    facts += [(_("Added to the budget") if text[0] == "+" else _("Taken back"), text) for text in _amounts(proposal)]
    if proposal.facts["vnd"]:
        facts.append((_("Free now"), f"{vnd_text(budget_of(programme).free_vnd)} VND"))
    for row in pool_balances(programme):
        if row.pool.gpu_type in proposal.facts["gpu_seconds"]:
            free = _("%(hours)s GPU-hours of %(gpu_type)s") % {
                "hours": gpu_hours_text(row.free_gpu_seconds),
                "gpu_type": row.pool.gpu_type.upper(),
            }
            facts.append((_("Free now"), free))
    return facts


# --- rules ----------------------------------------------------------------------------------------------------------


def _terms_describe(proposal: Proposal) -> list[Fact]:
    """Only what differs, before → after."""
    before = dict(terms_lines(Terms.from_facts(proposal.facts["before"])))
    after = dict(terms_lines(Terms.from_facts(proposal.facts["after"])))
    changed: list[Fact] = [
        (label, f"{before[label]} → {after[label]}") for label in after if before[label] != after[label]
    ]
    return [(_("Programme"), proposal.facts["name"]), *changed]


def terms_lines(terms: Terms) -> list[tuple[str, str]]:
    """A programme's rules for a reader: every label with its value, no limit and no right included."""
    labels: dict[str, Any] = dict(Organisation.Kind.choices)
    lines = []
    for kind in Organisation.Kind.values:
        share = terms.shares.get(kind)
        label = _("State share, %(kind)s") % {"kind": labels[kind]}
        lines.append((label, _("may not apply") if share is None else percent_text(share)))
    none = _("no limit")
    hours, vnd, count = terms.largest_award_gpu_hours, terms.largest_award_vnd, terms.open_vouchers_limit
    above = terms.three_person_above_vnd
    lines += [
        (
            _("Largest award"),
            none if hours is None else _("%(hours)s GPU-hours") % {"hours": gpu_hours_text(hours * 3_600)},
        ),
        (_("Largest award in money"), none if vnd is None else f"{vnd_text(vnd)} VND"),
        (_("Open vouchers an organisation may hold"), none if count is None else str(count)),
        (_("Two approvers above"), _("never") if above is None else f"{vnd_text(above)} VND"),
        (_("Clawback"), _clawback(terms)),
    ]
    return lines


def _clawback(terms: Terms) -> str:
    if terms.clawback_on is None:
        return _("none")
    return _("%(share)s of the unspent on %(day)s") % {
        "share": percent_text(terms.clawback_basis_points),
        "day": date_format(terms.clawback_on),
    }


# --- tariffs --------------------------------------------------------------------------------------------------------


def _tariff_summary(proposal: Proposal) -> str:
    facts = proposal.facts
    return _("%(gpu_type)s: %(vnd)s VND per GPU-hour from %(day)s") % {
        "gpu_type": facts["gpu_type"].upper(),
        "vnd": vnd_text(facts["vnd_per_gpu_hour"]),
        "day": date_format(date.fromisoformat(facts["valid_from"])),
    }


def _tariff_describe(proposal: Proposal) -> list[Fact]:
    facts = proposal.facts
    before = facts["before_vnd_per_gpu_hour"]
    return [
        (_("GPU type"), facts["gpu_type"].upper()),
        (_("VND per GPU-hour"), vnd_text(facts["vnd_per_gpu_hour"])),
        (_("Before"), vnd_text(before) if before is not None else _("no tariff")),
        (_("Valid from"), date_format(date.fromisoformat(facts["valid_from"]))),
    ]
