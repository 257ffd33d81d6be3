"""What programmes let several people decide: budgets, rules, tariffs. How each reads to those who approve it."""

from datetime import date

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from quotas.clusters import cluster_title
from quotas.programmes.errors import ProgrammeError
from quotas.programmes.lines import terms_lines
from quotas.programmes.models import Programme
from quotas.programmes.selectors import budget_of, pool_balances
from quotas.programmes.services.budgets import budget_carry_out
from quotas.programmes.services.programmes import terms_carry_out
from quotas.programmes.services.tariffs import tariff_carry_out
from quotas.programmes.terms import Terms
from quotas.proposals import kinds
from quotas.proposals.kinds import Fact
from quotas.proposals.models import Proposal
from quotas.units import gpu_hours_text, vnd_text


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
    before = terms_lines(Terms.from_facts(proposal.facts["before"]))
    after = terms_lines(Terms.from_facts(proposal.facts["after"]))
    changed: list[Fact] = [
        (label, f"{before[label]} → {after[label]}") for label in after if before[label] != after[label]
    ]
    return [(_("Programme"), proposal.facts["name"]), *changed]


# --- tariffs --------------------------------------------------------------------------------------------------------


def _tariff_summary(proposal: Proposal) -> str:
    facts = proposal.facts
    return _("%(gpu_type)s: %(vnd)s VND per GPU-hour from %(day)s") % {
        "gpu_type": " · ".join(filter(None, [facts["gpu_type"].upper(), _cluster(proposal)])),
        "vnd": vnd_text(facts["vnd_per_gpu_hour"]),
        "day": date_format(date.fromisoformat(facts["valid_from"])),
    }


def _tariff_describe(proposal: Proposal) -> list[Fact]:
    facts = proposal.facts
    before = facts["before_vnd_per_gpu_hour"]
    return [
        (_("GPU type"), facts["gpu_type"].upper()),
        (_("Cluster"), _cluster(proposal) or _("all that have no tariff of their own")),
        (_("VND per GPU-hour"), vnd_text(facts["vnd_per_gpu_hour"])),
        (_("Before"), vnd_text(before) if before is not None else _("no tariff")),
        (_("Valid from"), date_format(date.fromisoformat(facts["valid_from"]))),
    ]


def _cluster(proposal: Proposal) -> str:
    name = proposal.facts.get("cluster", "")
    return cluster_title(name) if name else ""
