"""An award or a refusal as a proposal: how it reads to those who approve it, and what its end does."""

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from quotas.allocations.errors import QuotaError
from quotas.allocations.services import TranchePlan
from quotas.applications.errors import ApplicationError
from quotas.programmes.errors import ProgrammeError
from quotas.proposals import kinds
from quotas.proposals.kinds import Fact
from quotas.proposals.models import Proposal
from quotas.reviews.services.decisions import KIND, decision_carry_out, decision_sent_back
from quotas.units import gpu_hours_text, vnd_text


def register() -> None:
    kinds.register(
        kinds.Kind(
            name=KIND,
            label=gettext_lazy("Award or refusal"),
            carry_out=decision_carry_out,
            sent_back=decision_sent_back,
            describe=_describe,
            summary=_summary,
            url=lambda proposal: reverse("reviews:application", args=[proposal.facts["application"]]),
            refusals=(ApplicationError, QuotaError, ProgrammeError),
        )
    )


def tranche_texts(proposal: Proposal) -> list[str]:
    """The parts in which an award is given, for people; none where all of it is given on its first day."""
    return [_tranche_text(TranchePlan.from_facts(plan)) for plan in proposal.facts.get("tranches", [])]


def _tranche_text(plan: TranchePlan) -> str:
    hours = {"hours": gpu_hours_text(plan.amount_gpu_seconds)}
    if plan.release_on is not None:
        return _("%(hours)s GPU-hours on %(day)s") % {**hours, "day": date_format(plan.release_on)}
    if plan.needs_report:
        return _("%(hours)s GPU-hours with an accepted progress report") % hours
    return _("%(hours)s GPU-hours when an operator releases them") % hours


def _hours(proposal: Proposal, key: str) -> str:
    return _("%(hours)s GPU-hours of %(gpu_type)s") % {
        "hours": gpu_hours_text(proposal.facts[key]),
        "gpu_type": proposal.facts["gpu_type"].upper(),
    }


def _describe(proposal: Proposal) -> list[Fact]:
    facts: list[Fact] = [
        (_("Application"), proposal.facts["title"]),
        (_("Asked for"), _hours(proposal, "asked_gpu_seconds")),
    ]
    if proposal.facts["outcome"] == "refusal":
        return [*facts, (_("Decision"), _("Refusal"))]
    facts += [(_("To be awarded"), _hours(proposal, "gpu_seconds")), (_("Cluster"), proposal.facts["cluster"])]
    facts += [(_("In parts"), text) for text in tranche_texts(proposal)]
    if proposal.facts["amount_vnd"]:
        facts.append((_("Worth at the tariff of that day"), f"{vnd_text(proposal.facts['amount_vnd'])} VND"))
    return facts


def _summary(proposal: Proposal) -> str:
    if proposal.facts["outcome"] == "refusal":
        return _("%(title)s: refusal") % {"title": proposal.facts["title"]}
    return _("%(title)s: award of %(hours)s") % {
        "title": proposal.facts["title"],
        "hours": _hours(proposal, "gpu_seconds"),
    }
