"""The plan in plain words: what Slurm calls GrpTRESMins is a limit in GPU-hours to the person who reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from portal.web.templatetags.ui import gpu_hours
from scheduler.accounts.models import OutsideChange, StoredPlan

MINUTE_S = 60
SHOWN = 200  # actions on the page; the rest is counted

KINDS: dict[str, str | Promise] = {
    "account": gettext_lazy("Slurm account"),
    "qos": "QOS",
    "association": gettext_lazy("Member"),
}
FIELDS: dict[str, str | Promise] = {
    "parent": gettext_lazy("Below"),
    "flags": gettext_lazy("Flags"),
    "grp_tres_mins": gettext_lazy("Limit, GPU-hours"),
    "min_tres_per_job": gettext_lazy("At least per job"),
    "grp_jobs": gettext_lazy("Running jobs"),
    "grp_submit_jobs": gettext_lazy("Jobs in the queue"),
    "max_tres_per_job": gettext_lazy("At most per job"),
    "max_tres_per_user": gettext_lazy("At most per person"),
    "max_wall_minutes": gettext_lazy("Longest job, minutes"),
    "max_jobs_per_user": gettext_lazy("Running jobs of a person"),
    "max_submit_per_user": gettext_lazy("Jobs of a person in the queue"),
    "qos": "QOS",
    "default_qos": gettext_lazy("Default QOS"),
    "max_jobs": gettext_lazy("Running jobs"),
    "max_submit_jobs": gettext_lazy("Jobs in the queue"),
}
_LIMITED = {
    *("grp_jobs", "grp_submit_jobs", "max_jobs", "max_submit_jobs"),
    *("max_wall_minutes", "max_jobs_per_user", "max_submit_per_user"),
}


@dataclass(frozen=True)
class ChangeRow:
    label: str | Promise
    before: str
    after: str


@dataclass(frozen=True)
class ActionRow:
    verb: str
    kind: str | Promise
    name: str
    is_blocked: bool
    stored_kind: str
    stored_name: str
    changes: Sequence[ChangeRow]


def action_rows(stored: StoredPlan) -> list[ActionRow]:
    return [action_row(action) for action in stored.actions[:SHOWN]]


def action_row(action: Mapping[str, Any]) -> ActionRow:
    return ActionRow(
        verb=action["verb"],
        kind=KINDS.get(action["kind"], action["kind"]),
        name=action["name"].rstrip("/"),
        is_blocked=action["is_blocked"],
        stored_kind=action["kind"],
        stored_name=action["name"],
        changes=[
            ChangeRow(
                FIELDS.get(change["field"], change["field"]),
                _value(change["field"], change["from"], is_there=action["verb"] != "add"),
                _value(change["field"], change["to"], is_there=action["verb"] != "remove"),
            )
            for change in action["changes"]
        ],
    )


@dataclass(frozen=True)
class OutsideRow:
    change: OutsideChange
    outcome: str
    tone: str
    icon: str


def outside_rows(changes: Sequence[OutsideChange]) -> list[OutsideRow]:
    return [_outside_row(change) for change in changes]


def _outside_row(change: OutsideChange) -> OutsideRow:
    if change.repaired_at is not None:
        at = date_format(localtime(change.repaired_at), "SHORT_DATETIME_FORMAT")
        return OutsideRow(change, _("Repaired %(at)s") % {"at": at}, "good", "check")
    if change.differs:
        return OutsideRow(change, _("Still differs"), "bad", "alert-triangle")
    return OutsideRow(change, _("Not against the plan"), "quiet", "info-circle")


def _value(field: str, value: Any, *, is_there: bool) -> str:
    """ "" where the object is not there at all."""
    if not is_there:
        return ""
    if value is None:
        return _("no limit") if field in _LIMITED else _("none")
    if field == "grp_tres_mins":
        return _limits(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {amount}" for name, amount in value.items()) or _("none")
    if isinstance(value, list):
        return ", ".join(value) or _("none")
    return str(value) or _("none")


def _limits(minutes: Mapping[str, int]) -> str:
    shown = (f"{_tres(name)}: {gpu_hours(amount * MINUTE_S)}" for name, amount in minutes.items())
    return ", ".join(shown) or _("no limit")


def _tres(name: str) -> str:
    return _("all GPUs") if name == "gres/gpu" else name.removeprefix("gres/gpu:").upper()


def note_text(note: Mapping[str, str]) -> str:
    """Why something that one might expect is not done, and what to do."""
    name, about = note["name"], note["about"]
    if note["code"] == "waits_for_unix_account":
        return _(
            "%(name)s has no unix account on the cluster yet and waits in %(about)s. Create the account there; the next"
            " cycle lets the person in."
        ) % {"name": name, "about": about}
    if note["code"] == "no_partition":
        return _("No partition of the cluster has %(type)s GPUs, so nobody can use the allocation %(name)s.") % {
            "name": name,
            "type": about.upper(),
        }
    if note["code"] == "foreign_name":
        return _(
            "%(name)s is in Slurm already and was not made by the portal, so the portal leaves it and everything below"
            " it alone. Rename or remove it there."
        ) % {"name": name}
    return f"{note['code']}: {name} {about}"


def removals_count(stored: StoredPlan) -> int:
    """People and accounts who would lose something; those who wait for their last job have lost it already."""
    return sum(action["verb"] == "remove" and not action["is_blocked"] for action in stored.actions)


def removals_text(count: int) -> str:
    return ngettext("%(n)d removal", "%(n)d removals", count) % {"n": count}
