"""What findings say, and the next step, in the language that is active."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from monitoring.watching.models import Finding
from scheduler.jobs.durations import duration_text

Kind = Finding.Kind

STATES: Mapping[str, tuple[str, str]] = {  # tone and icon of the badge
    "opened": ("bad", "alert-circle"),
    "notified": ("warn", "mail"),
    "acknowledged": ("busy", "eye"),
    "closed": ("quiet", "check"),
}
ICONS: Mapping[str, str] = {
    Kind.IDLE: "hourglass",
    Kind.SILENT: "gauge",
    Kind.ABOVE: "scale",
    Kind.SICK: "alert-triangle",
    Kind.EXPORTER: "plug-connected",
}
_SICK: Mapping[str, str | Promise] = {
    "lost": gettext_lazy("the driver has lost it"),
    "hung": gettext_lazy("calls to it hang"),
    "crashed": gettext_lazy("reading it makes the driver crash"),
    "failed": gettext_lazy("it cannot be read"),
    "ecc": gettext_lazy("memory errors that could not be corrected"),
    "row_remap": gettext_lazy("no memory rows are left to exchange"),
}
_SILENT: Mapping[str, str | Promise] = {
    "no_answer": gettext_lazy("its exporter does not answer the portal"),
    "not_scraped": gettext_lazy("Prometheus cannot scrape its exporter"),
}


class Said(NamedTuple):
    """What is so, and what to do about it."""

    text: str
    todo: str


def said(finding: Finding) -> Said:
    return _SAYERS[finding.kind](finding.evidence)


def subject_text(finding: Finding) -> str:
    return finding.job.name if finding.job is not None else finding.subject


def reasons_text(evidence: Mapping[str, Any]) -> str:
    return ", ".join(_reason(str(code)) for code in evidence.get("reasons", ()))


def _reason(code: str) -> str:
    known = _SICK.get(code) or _SILENT.get(code)
    return str(known) if known else code.upper() if code.startswith("xid ") else code


def _idle(evidence: Mapping[str, Any]) -> Said:
    found, gpus = int(evidence.get("found", 0)), int(evidence.get("gpus", 0))
    text = ngettext(
        "%(found)d of its %(gpus)d GPUs has done nothing for %(time)s.",
        "%(found)d of its %(gpus)d GPUs have done nothing for %(time)s.",
        found,
    ) % {"found": found, "gpus": gpus, "time": _time(evidence)}
    return Said(
        text,
        _(
            "Look into its log whether it hangs, waits for data or never found its GPUs. Cancel it if it is of no "
            "use: what it holds is charged, and nobody else can use it."
        ),
    )


def _silent(evidence: Mapping[str, Any]) -> Said:
    figures = {"time": _time(evidence), "watts": round(evidence.get("watts") or 0)}
    if evidence.get("which") == "power":
        return Said(
            _("For %(time)s a GPU has drawn %(watts)d W while its utilisation was 0.") % figures,
            _(
                "One of the two is wrong: compare with nvidia-smi on the node. Until then the figures of this job "
                "say too little."
            ),
        )
    return Said(
        _("For %(time)s it has been busy throughout and its tensor cores never, and it declares tensor work.")
        % figures,
        _(
            "See whether it computes in the precision that it declares (torch.autocast, TF32). If it does, a "
            "counter of this GPU's driver is dead: compare with nvidia-smi on the node."
        ),
    )


def _above(evidence: Mapping[str, Any]) -> Said:
    return Said(
        _("It declared more FLOPs than its GPUs can do; what it declared is counted nowhere."),
        _("See whether every process reports all of the work instead of its own part, and the precision it names."),
    )


def _sick(evidence: Mapping[str, Any]) -> Said:
    return Said(
        _("What is wrong: %(reasons)s.") % {"reasons": reasons_text(evidence)},
        _(
            "Take the node out, so that no new job gets this GPU; when it is empty, reset the GPU. If it comes "
            "again, have it replaced. Tell the owner of the job that was on it: its results may be wrong."
        ),
    )


def _exporter(evidence: Mapping[str, Any]) -> Said:
    return Said(
        _("What is wrong: %(reasons)s.") % {"reasons": reasons_text(evidence)},
        _(
            "See whether the node is up (scontrol show node), then the exporter's log. What runs there is charged "
            "and counts as not measured."
        ),
    )


def _time(evidence: Mapping[str, Any]) -> str:
    return duration_text(int(evidence.get("window_s", 0)))


_SAYERS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    Kind.IDLE: _idle,
    Kind.SILENT: _silent,
    Kind.ABOVE: _above,
    Kind.SICK: _sick,
    Kind.EXPORTER: _exporter,
}
