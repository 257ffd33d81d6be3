"""The centre's verbs on a voucher: an operator's alone, or proposed to a second person."""

from functools import partial

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.people.models import User
from quotas.allocations import voucher_forms as forms
from quotas.allocations.models import Voucher
from quotas.allocations.services import changes, closeout, progress, proposed
from quotas.allocations.verbs import (
    FOR_GOOD,
    TWO_PEOPLE,
    Cleaned,
    Verb,
    cluster_move_effect,
    hours_text,
    money_back,
    move_effect,
)


def _release_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(hours)s are released to the voucher, with their money.")
    return [text % {"hours": hours_text(given["tranche"].amount_gpu_seconds, voucher)}, str(FOR_GOOD)]


def _lose_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(hours)s go back to the programme, with their money; the organisation loses them.")
    return [text % {"hours": hours_text(given["tranche"].amount_gpu_seconds, voucher)}, str(FOR_GOOD)]


def _accept_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    amount = given["report"].tranche.amount_gpu_seconds
    return [_("%(hours)s are released to the voucher, with their money.") % {"hours": hours_text(amount, voucher)}]


def _clawback_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    amount = proposed.clawback_estimate_gpu_seconds(voucher, int(given["percent"] * 100))
    text = _("As things stand, %(hours)s leave the projects' allocations; what jobs hold follows when they end.")
    lines = [text % {"hours": hours_text(amount, voucher)}, *money_back(voucher, amount)]
    return [*lines, str(TWO_PEOPLE)]


def _refund_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(project)s gets %(hours)s back, and its limit in Slurm is raised by them.")
    first = text % {"project": given["allocation"].project, "hours": hours_text(given["gpu_hours"], voucher)}
    return [first, str(TWO_PEOPLE)]


def _correction_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(hours)s of the refund are taken back from the allocation's free balance.")
    return [text % {"hours": hours_text(given["gpu_hours"], voucher)}, str(TWO_PEOPLE)]


def _check(voucher: Voucher, given: Cleaned, person: User) -> None:
    found = {name: closeout.Found(given[f"{name}_met"] == "yes", given[name]) for name in voucher.commitments}
    closeout.close_out_close(close_out_id=voucher.close_out.pk, found=found, person=person)


_operators = partial(Verb, by_operator=True)
# What happens only when a second person has approved it too.
_proposed = partial(_operators, done=gettext_lazy("Proposed. Another person must approve it."))

CENTRE_VERBS: dict[str, Verb] = {
    "release-tranche": _operators(
        gettext_lazy("Release a tranche"),
        forms.TrancheForm,
        _release_effect,
        lambda voucher, given, person: progress.tranche_decide(
            tranche_id=given["tranche"].pk, is_released=True, person=person
        ),
        gettext_lazy("The tranche is released."),
    ),
    "lose-tranche": _operators(
        gettext_lazy("Withdraw a tranche"),
        forms.LoseForm,
        _lose_effect,
        lambda voucher, given, person: progress.tranche_decide(
            tranche_id=given["tranche"].pk, is_released=False, reason=given["reason"], person=person
        ),
        gettext_lazy("The tranche is back in the programme."),
        danger=True,
    ),
    "accept-report": _operators(
        gettext_lazy("Accept a report"),
        forms.ReportDecisionForm,
        _accept_effect,
        lambda voucher, given, person: progress.report_accept(
            report_id=given["report"].pk, answer=given["answer"], person=person
        ),
        gettext_lazy("Accepted, and the tranche is released."),
    ),
    "return-report": _operators(
        gettext_lazy("Return a report"),
        forms.ReportDecisionForm,
        lambda voucher, given: [_("The organisation reads your answer and can report again.")],
        lambda voucher, given, person: progress.report_return(
            report_id=given["report"].pk, answer=given["answer"], person=person
        ),
        gettext_lazy("Returned to the organisation."),
    ),
    "propose-change": _proposed(
        gettext_lazy("Propose a requested change"),
        forms.RequestDecisionForm,
        lambda voucher, given: [str(TWO_PEOPLE)],
        lambda voucher, given, person: changes.change_propose(
            request_id=given["change"].pk, reason=given["reason"], person=person
        ),
    ),
    "decline-change": _operators(
        gettext_lazy("Decline a request"),
        forms.RequestDecisionForm,
        lambda voucher, given: [_("The organisation reads your reason. It can ask again.")],
        lambda voucher, given, person: changes.change_decline(
            request_id=given["change"].pk, answer=given["reason"], person=person
        ),
        gettext_lazy("The request is declined."),
    ),
    "propose-move": _proposed(
        gettext_lazy("Propose a move"),
        forms.MoveForm,
        lambda voucher, given: [*move_effect(voucher, given), str(TWO_PEOPLE)],
        lambda voucher, given, person: proposed.move_propose(
            source=given["source"],
            target=given["target"],
            amount_gpu_seconds=given["gpu_hours"],
            reason=given["reason"],
            person=person,
        ),
    ),
    "propose-move-cluster": _proposed(
        gettext_lazy("Propose a move to another cluster"),
        forms.ClusterMoveForm,
        lambda voucher, given: [*cluster_move_effect(voucher, given), str(TWO_PEOPLE)],
        lambda voucher, given, person: proposed.cluster_move_propose(
            source=given["source"],
            cluster=given["cluster"],
            amount_gpu_seconds=given["gpu_hours"],
            reason=given["reason"],
            person=person,
        ),
        icon="arrow-right",
    ),
    "propose-clawback": _proposed(
        gettext_lazy("Propose a clawback"),
        forms.ClawbackForm,
        _clawback_effect,
        lambda voucher, given, person: proposed.clawback_propose(
            voucher=voucher, basis_points=int(given["percent"] * 100), reason=given["reason"], person=person
        ),
        danger=True,
    ),
    "propose-refund": _proposed(
        gettext_lazy("Propose a refund"),
        forms.RefundForm,
        _refund_effect,
        lambda voucher, given, person: proposed.refund_propose(
            allocation=given["allocation"],
            charge_id=given["charge"],
            amount_gpu_seconds=given["gpu_hours"],
            reason=given["reason"],
            person=person,
        ),
    ),
    "propose-correction": _proposed(
        gettext_lazy("Propose a correction of a refund"),
        forms.CorrectionForm,
        _correction_effect,
        lambda voucher, given, person: proposed.correction_propose(
            refund=given["refund"], amount_gpu_seconds=given["gpu_hours"], reason=given["reason"], person=person
        ),
        danger=True,
    ),
    "return-close-out": _operators(
        gettext_lazy("Return the final report"),
        forms.ReasonOnlyForm,
        lambda voucher, given: [_("The organisation reads your reason and reports again.")],
        lambda voucher, given, person: closeout.close_out_return(
            close_out_id=voucher.close_out.pk, reason=given["reason"], person=person
        ),
        gettext_lazy("Returned to the organisation."),
    ),
    "check-commitments": _operators(
        gettext_lazy("Check the commitments"),
        forms.CheckForm,
        lambda voucher, given: [
            _("The close-out is done, and the result with your findings is public."),
            str(FOR_GOOD),
        ],
        _check,
        gettext_lazy("The close-out is done."),
    ),
}
