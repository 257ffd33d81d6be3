"""What can be done with a voucher: each verb with its form, who may, what it will do in words, and the service.

A verb is asked for, then shown as sentences, then done: nothing happens on the first click.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.clock import now
from portal.people.models import User
from quotas.allocations import voucher_forms as forms
from quotas.allocations.models import ChangeRequest, Voucher, Withdrawal
from quotas.allocations.services import (
    allocation_create,
    changes,
    closeout,
    cluster_move,
    progress,
    voucher_return,
    withdrawal_request,
)
from quotas.allocations.services.exchange import exchange_sources, exchanged
from quotas.allocations.services.money import price_of_voucher
from quotas.allocations.services.other_cluster import cluster_move_check
from quotas.allocations.services.prices import price_rule
from quotas.clusters import cluster_title
from quotas.units import gpu_hours_text, vnd_text

Cleaned = dict[str, Any]
Effect = Callable[[Voucher, Cleaned], list[str]]
Act = Callable[[Voucher, Cleaned, User], object]


@dataclass(frozen=True)
class Verb:
    """`effect` says what will happen; `act` does it. by_operator: else it is the organisation's manager's."""

    title: str | Promise
    form: type[forms.VoucherForm]
    effect: Effect
    act: Act
    done: str | Promise
    by_operator: bool = False
    danger: bool = False
    icon: str = "check"


def hours_text(gpu_seconds: int | None, voucher: Voucher) -> str:
    text = _("%(hours)s %(gpu_type)s GPU-hours")
    return text % {"hours": gpu_hours_text(gpu_seconds or 0), "gpu_type": voucher.gpu_type.upper()}


def money_back(voucher: Voucher, gpu_seconds: int) -> list[str]:
    if not voucher.has_money:
        return []
    state, own = price_of_voucher(voucher).shares(gpu_seconds)
    text = _("About %(state)s VND go back to the programme's budget, and the organisation owes about %(own)s VND less.")
    return [text % {"state": vnd_text(state), "own": vnd_text(own)}]


TWO_PEOPLE = gettext_lazy("Nothing happens yet: another person must approve it.")
FOR_GOOD = gettext_lazy("This cannot be undone.")
LIMIT_FIRST = gettext_lazy("It arrives after the limit in Slurm was lowered, usually within a minute.")


# --- the organisation's manager -------------------------------------------------------------------------------------


def _allocate(voucher: Voucher, given: Cleaned, person: User) -> None:
    allocation_create(
        voucher=voucher,
        project=given["project"],
        cluster=given["cluster"],
        amount_gpu_seconds=given["gpu_hours"],
        starts_on=voucher.starts_on,
        ends_on=voucher.ends_on,
        actor=person,
    )


def _allocate_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(project)s gets %(hours)s on %(cluster)s, to be used until %(day)s.")
    return [
        text
        % {
            "project": given["project"],
            "hours": hours_text(given["gpu_hours"], voucher),
            "cluster": cluster_title(given["cluster"]),
            "day": date_format(voucher.ends_on),
        }
    ]


def _withdraw(kind: str) -> Act:
    def act(voucher: Voucher, given: Cleaned, person: User) -> None:
        target = given.get("target")
        withdrawal_request(
            allocation_id=given["source"].pk,
            kind=kind,
            amount_gpu_seconds=given["gpu_hours"],
            reason=given["reason"],
            event_at=now(),
            actor=person,
            target_id=target.pk if target else None,
        )

    return act


def move_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(source)s has %(hours)s less, %(target)s as much more.")
    names = {"source": given["source"].project, "target": given["target"].project}
    return [text % {**names, "hours": hours_text(given["gpu_hours"], voucher)}, str(LIMIT_FIRST)]


def cluster_move_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    cluster_move_check(given["source"], given["cluster"])
    text = _("%(source)s has %(hours)s less on %(here)s, as much more on %(there)s.")
    names = {
        "source": given["source"].project,
        "here": cluster_title(given["source"].cluster),
        "there": cluster_title(given["cluster"]),
    }
    return [
        text % {**names, "hours": hours_text(given["gpu_hours"], voucher)},
        _(
            "First the limit on %(here)s is lowered and read back, then the one on %(there)s is raised. On the way "
            "they can be spent nowhere; until they arrive they can be taken back."
        )
        % names,
        price_rule(voucher),
    ]


def _cluster_move(voucher: Voucher, given: Cleaned, person: User) -> None:
    cluster_move(
        source_id=given["source"].pk,
        cluster=given["cluster"],
        amount_gpu_seconds=given["gpu_hours"],
        reason=given["reason"],
        actor=person,
    )


def _take_back_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(source)s has %(hours)s less; they lie in the voucher, to be given to a project again.")
    first = text % {"source": given["source"].project, "hours": hours_text(given["gpu_hours"], voucher)}
    return [first, str(LIMIT_FIRST)]


def _return(voucher: Voucher, given: Cleaned, person: User) -> None:
    voucher_return(voucher_id=voucher.pk, amount_gpu_seconds=given["gpu_hours"], reason=given["reason"], actor=person)


def _return_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    text = _("%(hours)s that no project has go back to the programme.") % {
        "hours": hours_text(given["gpu_hours"], voucher)
    }
    return [text, *money_back(voucher, given["gpu_hours"]), str(FOR_GOOD)]


def _change(voucher: Voucher, given: Cleaned, person: User) -> None:
    kind = given["kind"]
    changes.change_request(
        voucher=voucher,
        kind=kind,
        reason=given["reason"],
        person=person,
        amount_gpu_seconds=None if kind == ChangeRequest.Kind.LONGER else given["gpu_hours"],
        ends_on=given["ends_on"] if kind == ChangeRequest.Kind.LONGER else None,
        gpu_type=given["gpu_type"] if kind == ChangeRequest.Kind.GPU_TYPE else "",
    )


def _change_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    lines = [_("An operator reads it and proposes it to a second person, or declines it with a reason.")]
    kind, amount = given["kind"], given["gpu_hours"]
    if kind == ChangeRequest.Kind.MORE and amount and voucher.has_money:
        state, own = price_of_voucher(voucher).shares(amount)
        text = _("At the voucher's tariff it costs %(vnd)s VND, of which the organisation owes %(own)s VND.")
        lines.append(text % {"vnd": vnd_text(state + own), "own": vnd_text(own)})
    if kind == ChangeRequest.Kind.GPU_TYPE and amount and given["gpu_type"]:
        other = exchanged(voucher, given["gpu_type"], amount)
        sources = exchange_sources(voucher, amount)
        text = _(
            "At today's ratio of the tariffs %(before)s become %(after)s %(gpu_type)s GPU-hours, in a new voucher."
        )
        lines.append(
            text
            % {
                "before": hours_text(amount, voucher),
                "after": gpu_hours_text(other),
                "gpu_type": given["gpu_type"].upper(),
            }
        )
        if sources.allocation is not None:
            text = _("%(source)s has %(hours)s less: they are exchanged once its limit in Slurm was lowered.")
            hours = hours_text(sources.from_allocation, voucher)
            lines.append(text % {"source": sources.allocation.project, "hours": hours})
    return lines


def _report(voucher: Voucher, given: Cleaned, person: User) -> None:
    progress.report_submit(tranche_id=given["tranche"].pk, text=given["text"], links=given["links"], person=person)


def _report_effect(voucher: Voucher, given: Cleaned) -> list[str]:
    amount = hours_text(given["tranche"].amount_gpu_seconds, voucher)
    return [_("When an operator accepts the report, %(hours)s are released.") % {"hours": amount}]


def _close_out(voucher: Voucher, given: Cleaned, person: User) -> None:
    closeout.close_out_submit(
        close_out_id=voucher.close_out.pk,
        title=given["title"],
        summary=given["summary"],
        links={name: given[name] for name in closeout.LINKS},
        person=person,
    )


VERBS: dict[str, Verb] = {
    "allocate": Verb(
        gettext_lazy("Give to a project"), forms.AllocateForm, _allocate_effect, _allocate, gettext_lazy("Allocated.")
    ),
    "move": Verb(
        gettext_lazy("Move between projects"),
        forms.MoveForm,
        move_effect,
        _withdraw(Withdrawal.Kind.MOVE),
        gettext_lazy("The move is under way."),
    ),
    "move-cluster": Verb(
        gettext_lazy("Move to another cluster"),
        forms.ClusterMoveForm,
        cluster_move_effect,
        _cluster_move,
        gettext_lazy("The move is under way."),
        icon="arrow-right",
    ),
    "take-back": Verb(
        gettext_lazy("Take back from a project"),
        forms.FromForm,
        _take_back_effect,
        _withdraw(Withdrawal.Kind.RETURN),
        gettext_lazy("It is on its way back to the voucher."),
    ),
    "return": Verb(
        gettext_lazy("Return to the programme"),
        forms.ReturnForm,
        _return_effect,
        _return,
        gettext_lazy("Returned. Thank you: others can use the money."),
        danger=True,
    ),
    "change": Verb(
        gettext_lazy("Ask for a change"), forms.ChangeForm, _change_effect, _change, gettext_lazy("The request is in.")
    ),
    "withdraw-change": Verb(
        gettext_lazy("Withdraw a request"),
        forms.RequestForm,
        lambda voucher, given: [_("The request is closed; it can be made again.")],
        lambda voucher, given, person: changes.change_withdraw(request_id=given["change"].pk, person=person),
        gettext_lazy("The request is withdrawn."),
    ),
    "report": Verb(
        gettext_lazy("Report progress"), forms.ReportForm, _report_effect, _report, gettext_lazy("The report is in.")
    ),
    "close-out": Verb(
        gettext_lazy("Final report"),
        forms.CloseOutForm,
        lambda voucher, given: [
            _("An operator checks each commitment. Report, links and findings are then public for good.")
        ],
        _close_out,
        gettext_lazy("The final report is in."),
    ),
}
