"""What vouchers let several people decide, and how each reads to those who approve it."""

from collections.abc import Callable
from datetime import date

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from quotas.allocations.errors import QuotaError
from quotas.allocations.models import Allocation, ChangeRequest, Refund, Voucher
from quotas.allocations.selectors import free_gpu_seconds
from quotas.allocations.services import changes, proposed
from quotas.allocations.services.exchange import exchange_sources, exchanged
from quotas.allocations.services.money import price_of_voucher
from quotas.allocations.services.prices import price_rule
from quotas.clusters import cluster_title
from quotas.programmes.errors import ProgrammeError
from quotas.proposals import kinds
from quotas.proposals.kinds import Fact
from quotas.proposals.models import Proposal
from quotas.units import gpu_hours_text, percent_text, vnd_text


def register() -> None:
    _kind("voucher_change", gettext_lazy("Change of a voucher"), changes.change_carry_out, _change, _change_line)
    _kind("voucher_move", gettext_lazy("Move between allocations"), proposed.move_carry_out, _move)
    _kind("cluster_move", gettext_lazy("Move to another cluster"), proposed.cluster_move_carry_out, _cluster_move)
    _kind("clawback", gettext_lazy("Clawback"), proposed.clawback_carry_out, _clawback, _clawback_line)
    _kind("refund", gettext_lazy("Refund"), proposed.refund_carry_out, _refund, automatic=True)
    _kind("correction", gettext_lazy("Correction of a refund"), proposed.correction_carry_out, _correction)


def _kind(
    name: str,
    label: str | Promise,
    carry_out: Callable[[Proposal], None],
    describe: Callable[[Proposal], list[Fact]],
    summary: Callable[[Proposal], str] | None = None,
    *,
    automatic: bool = False,
) -> None:
    kinds.register(
        kinds.Kind(
            name=name,
            label=label,
            carry_out=carry_out,
            describe=describe,
            summary=summary or _hours_line,
            url=_url,
            refusals=(QuotaError, ProgrammeError),
            automatic=automatic,
        )
    )


def _number(proposal: Proposal) -> str:
    number: str = proposal.facts["voucher" if proposal.kind == "voucher_change" else "number"]
    return number


def _url(proposal: Proposal) -> str:
    return reverse("vouchers:voucher", args=[_number(proposal)])


def _hours(gpu_seconds: int, gpu_type: str) -> str:
    return _("%(hours)s GPU-hours of %(gpu_type)s") % {
        "hours": gpu_hours_text(gpu_seconds),
        "gpu_type": gpu_type.upper(),
    }


def _hours_line(proposal: Proposal) -> str:
    return f"{_number(proposal)}: {_hours(proposal.facts['gpu_seconds'], proposal.facts['gpu_type'])}"


def _clawback_line(proposal: Proposal) -> str:
    return f"{_number(proposal)}: {percent_text(proposal.facts['basis_points'])}"


def _change_line(proposal: Proposal) -> str:
    return f"{_number(proposal)}: {ChangeRequest.Kind(proposal.facts['change']).label}"


def _voucher_facts(voucher: Voucher) -> list[Fact]:
    return [
        (_("Voucher"), voucher.number),
        (_("Organisation"), voucher.organisation.name),
        (_("Awarded"), _hours(voucher.face_gpu_seconds, voucher.gpu_type)),
    ]


def _worth(voucher: Voucher, gpu_seconds: int) -> list[Fact]:
    if not voucher.has_money:
        return []
    return [(_("Worth, at the voucher's tariff"), f"{vnd_text(price_of_voucher(voucher).vnd(gpu_seconds))} VND")]


def _change(proposal: Proposal) -> list[Fact]:
    request = ChangeRequest.objects.select_related("voucher__organisation").get(pk=proposal.facts["request"])
    voucher, amount = request.voucher, proposal.facts["gpu_seconds"]
    facts = [*_voucher_facts(voucher), (_("Asked by"), str(request.requested_by)), (_("Because"), request.reason)]
    if request.kind == ChangeRequest.Kind.LONGER:
        before, after = date_format(voucher.ends_on), date_format(date.fromisoformat(proposal.facts["ends_on"]))
        return [*facts, (_("Last day"), f"{before} → {after}")]
    if request.kind == ChangeRequest.Kind.MORE:
        return [*facts, (_("Added"), _hours(amount, voucher.gpu_type)), *_worth(voucher, amount)]
    facts.append((_("Given back"), _hours(amount, voucher.gpu_type)))
    try:
        other = _hours(exchanged(voucher, request.gpu_type, amount), request.gpu_type)
        if proposal.state == Proposal.State.WAITING and (source := exchange_sources(voucher, amount).allocation):
            facts.append(_allocation_facts(_("Withdrawn first from"), source))
    except (QuotaError, ProgrammeError) as error:
        other = str(error)
    return [*facts, (_("A new voucher instead, at today's ratio of the tariffs"), other)]


def _allocation_facts(label: str, allocation: Allocation) -> Fact:
    free = gpu_hours_text(free_gpu_seconds(allocation))
    what = _("%(project)s on %(cluster)s, %(free)s GPU-hours free now") % {
        "project": allocation.project.title,
        "cluster": cluster_title(allocation.cluster),
        "free": free,
    }
    return (label, what)


def _allocation(pk: int) -> Allocation:
    return Allocation.objects.select_related("project", "voucher__organisation").get(pk=pk)


def _move(proposal: Proposal) -> list[Fact]:
    source, target = _allocation(proposal.facts["allocation"]), _allocation(proposal.facts["target"])
    amount = _hours(proposal.facts["gpu_seconds"], source.gpu_type)
    moved = [_allocation_facts(_("From"), source), _allocation_facts(_("To"), target)]
    return [*_voucher_facts(source.voucher), *moved, (_("Moved"), amount)]


def _cluster_move(proposal: Proposal) -> list[Fact]:
    source, amount = _allocation(proposal.facts["allocation"]), proposal.facts["gpu_seconds"]
    voucher = source.voucher
    return [
        *_voucher_facts(voucher),
        _allocation_facts(_("From"), source),
        (_("To the cluster"), cluster_title(proposal.facts["cluster"])),
        (_("Moved"), _hours(amount, source.gpu_type)),
        *_worth(voucher, amount),
        (_("Price rule"), price_rule(voucher)),
    ]


def _clawback(proposal: Proposal) -> list[Fact]:
    voucher = Voucher.objects.select_related("organisation").get(pk=proposal.facts["voucher"])
    basis_points = proposal.facts["basis_points"]
    estimate = proposed.clawback_estimate_gpu_seconds(voucher, basis_points)
    return [
        *_voucher_facts(voucher),
        (_("Share of what is unspent"), percent_text(basis_points)),
        (_("From the allocations, as things stand"), _hours(estimate, voucher.gpu_type)),
        (_("What jobs hold"), _("stays until they end, then follows")),
    ]


def _refund(proposal: Proposal) -> list[Fact]:
    allocation, amount = _allocation(proposal.facts["allocation"]), proposal.facts["gpu_seconds"]
    return [
        *_voucher_facts(allocation.voucher),
        _allocation_facts(_("To"), allocation),
        (_("Given back"), _hours(amount, allocation.gpu_type)),
        *_worth(allocation.voucher, amount),
        (_("Charge"), proposal.facts["charge"]),
    ]


def _correction(proposal: Proposal) -> list[Fact]:
    refund = Refund.objects.select_related("allocation__voucher__organisation").get(pk=proposal.facts["refund"])
    allocation = refund.allocation
    return [
        *_voucher_facts(allocation.voucher),
        _allocation_facts(_("From"), allocation),
        (_("Refunded then"), _hours(refund.amount_gpu_seconds, allocation.gpu_type)),
        (_("Taken back"), _hours(proposal.facts["gpu_seconds"], allocation.gpu_type)),
    ]
