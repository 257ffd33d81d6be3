"""Words for what the reconciliation and the cycle store as codes, and how a page shows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from quotas.actors import actor_names
from scheduler.settlement.models import Kept, Reconciliation
from scheduler.settlement.selectors import StepRow

KINDS: dict[str, str | Promise] = {
    "not_settled": _("Not charged yet"),
    "no_record": _("Charged without a record"),
    "not_in_slurmdbd": _("Gone from slurmdbd"),
    "no_allocation": _("No allocation to charge"),
    "ledger": _("Ledger and record differ"),
    "amount": _("Changed in slurmdbd"),
    "less": _("Less in slurmdbd than was charged"),
    "reopened": _("Unfinished again in slurmdbd"),
}
STEPS: dict[str, str | Promise] = {
    "snapshot": _("Look at the cluster"),
    "outbox": _("Submit and cancel jobs"),
    "jobs": _("Follow the portal's jobs"),
    "outside": _("Hold for jobs from outside"),
    "settle": _("Charge finished jobs"),
    "waiting": _("Release jobs that waited for GPU-hours"),
    "accounts": _("Accounts and limits"),
    "data_sets": _("Let people in to data sets"),
    "reconcile": _("Compare the three numbers"),
}


@dataclass(frozen=True)
class DifferenceRow:
    cause: str | Promise
    job: str
    account: str
    submit_at: datetime | None
    slurmdbd_gpu_seconds: int
    charged_gpu_seconds: int


def difference_rows(found: Reconciliation | None) -> list[DifferenceRow]:
    return [_difference(one) for one in found.differences] if found else []


def _difference(one: dict[str, Any]) -> DifferenceRow:
    return DifferenceRow(
        cause=KINDS.get(one["kind"], one["kind"]),
        job=one["job"],
        account=one["account"],
        submit_at=datetime.fromisoformat(one["submit_at"]) if one["submit_at"] else None,
        slurmdbd_gpu_seconds=one["slurmdbd_gpu_seconds"],
        charged_gpu_seconds=one["charged_gpu_seconds"],
    )


def step_names(rows: Iterable[StepRow]) -> list[tuple[str | Promise, StepRow]]:
    return [(STEPS.get(row.step.step, row.step.step), row) for row in rows]


def kept_rows(rows: list[Kept]) -> list[tuple[Kept, str]]:
    """With the names of who said so."""
    names = actor_names(row.actor for row in rows)
    return [(row, names.get(row.actor, row.actor)) for row in rows]
