"""What operators say about a cluster that Slurm cannot say."""

import re
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduler.clusters.models import QosRule
from scheduler.clusters.qos_rules import PersonLimits

HOUR_S = 3_600
SHORTEST_H, LONGEST_H = Decimal("0.1"), Decimal(24 * 366)
MOST = 100_000  # of anything that is counted


class SliceForm(forms.Form):
    gpu_type = forms.ChoiceField(label=_("Type of the slice"), help_text=_("As Slurm names it."))
    parent = forms.ChoiceField(label=_("Whole GPU"), help_text=_("Its jobs use allocations of this type."))
    share = forms.CharField(
        label=_("Share"),
        max_length=7,
        help_text=_("Compute slices of it / of the whole GPU, such as 1/7: so much of a GPU-second is charged."),
    )

    def __init__(self, *args: Any, types: list[str], parents: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ChoiceField, self.fields["gpu_type"]).choices = [(name, name) for name in types]
        cast(forms.ChoiceField, self.fields["parent"]).choices = [(name, name.upper()) for name in parents]

    def clean_share(self) -> tuple[int, int]:
        found = re.fullmatch(r"\s*([1-9][0-9]{0,2})\s*/\s*([1-9][0-9]{0,2})\s*", self.cleaned_data["share"])
        if not found:
            raise forms.ValidationError(_t("Write it as 1/7."))
        return int(found[1]), int(found[2])


class RuleForm(forms.Form):
    """CPUs for preparing data, GPUs for a sandbox."""

    hours = forms.DecimalField(
        label=_("Longest job, hours"), min_value=SHORTEST_H, max_value=LONGEST_H, max_digits=6, decimal_places=2
    )
    jobs = forms.IntegerField(label=_("Running jobs of a person"), min_value=1, max_value=MOST)
    queued = forms.IntegerField(
        label=_("Running and waiting jobs of a person"),
        min_value=1,
        max_value=MOST,
        help_text=_("Slurm refuses what is submitted beyond it."),
    )
    cpus = forms.IntegerField(label=_("CPUs of a person's running jobs"), min_value=1, max_value=MOST)
    gpus = forms.IntegerField(label=_("GPUs of a person's running jobs"), min_value=1, max_value=MOST)

    def __init__(self, *args: Any, kind: str, limits: PersonLimits | None, **options: Any) -> None:
        if limits is not None:
            known = {name: getattr(limits, name) for name in ("jobs", "queued", "cpus", "gpus")}
            options.setdefault("initial", known | {"hours": _hours(limits.time_limit_s)})
        super().__init__(*args, **options)
        del self.fields["gpus" if kind == QosRule.Kind.CPU else "cpus"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("queued", MOST) < given.get("jobs", 0):
            self.add_error("queued", _t("Running jobs are among them: at least as many."))
        return given

    @property
    def limits(self) -> PersonLimits:
        given = self.cleaned_data
        return PersonLimits(
            time_limit_s=int(given["hours"] * HOUR_S),
            jobs=given["jobs"],
            queued=given["queued"],
            cpus=given.get("cpus", 0),
            gpus=given.get("gpus", 0),
        )


def _hours(seconds: int) -> Decimal:
    return (Decimal(seconds) / HOUR_S).quantize(Decimal("0.01")).normalize() + 0
