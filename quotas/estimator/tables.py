"""What the page shows of a form and its estimate."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.forms import BoundField
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from quotas.estimator import wording
from quotas.estimator.forms import BEGINNING, EXAMPLES, EstimateForm, NumberField
from quotas.estimator.numbers import about, percent, power, span, spell, whole
from quotas.estimator.services import Estimate


@dataclass(frozen=True, slots=True)
class Part:
    """A field, and what is said under it while one types: its errors, or how it was read."""

    field: BoundField
    read_as: str = ""

    @property
    def is_number(self) -> bool:
        return isinstance(self.field.field, NumberField)


@dataclass(frozen=True, slots=True)
class Time:
    """On so many GPUs. `fits`: they hold weights, gradients and optimizer."""

    gpus: int
    is_centre: bool
    time: str
    fits: bool


def parts(form: EstimateForm, found: Estimate | None) -> dict[str, Part]:
    read_as = {}
    for name in ("parameters", "tokens"):
        if (number := form.cleaned_data.get(name)) is not None and name not in form.errors and not number % 1:
            read_as[name] = f"= {whole(int(number))}"
    if found and found.found.model and found.found.by_name:
        model = found.found.model
        known = {"all": about(model.parameters), "active": about(model.active)}
        text = _("%(active)s of %(all)s parameters work on a token") if model.is_mixture else _("%(all)s parameters")
        read_as["model"] = text % known
    return {field.name: Part(field, read_as.get(field.name, "")) for field in form}


def figures(found: Estimate) -> dict[str, Any]:
    """Of a page's right side and of what lies open below it."""
    return {
        "gpu_hours": about(found.gpu_hours) if found.gpu_hours >= 1_000_000 else wording.hours(found),
        "gpu_hours_exactly": wording.hours(found) if found.gpu_hours >= 1_000_000 else "",
        "vnd": None if found.vnd is None else about(found.vnd),
        "vnd_exactly": None if found.vnd is None else whole(found.vnd),
        "flops": power(found.flops),
        "share": _share(found.centre_share),
        "times": [
            Time(gpus, gpus == found.centre_gpus, span(days), gpus >= found.gpus_at_least)
            for gpus, days in found.days_on.items()
        ],
        "needs_gpus": found.gpus_at_least,
        "formula": wording.formula(found),
        "assumptions": wording.assumptions(found),
        "parameters": spell(found.parameters),
    }


def examples() -> list[tuple[str | Promise, str]]:
    """Label and address."""
    page = reverse("estimator:page")
    return [
        (label, f"{page}?{urlencode({name: text for name, text in (BEGINNING | changes).items() if text})}")
        for label, changes in EXAMPLES
    ]


def _share(share: float) -> str:
    """Three significant figures of a percentage, and no more than a hundredth of a percent."""
    if share < 0.0001:
        return "<" + percent(Decimal("0.0001"))
    return percent(Decimal(f"{share:.{4 if share < 0.1 else 3 if share < 1 else 2}f}"))
