from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from monitoring.days import EARLIEST, LATEST, Days
from monitoring.reports.models import EnergyFactor

DAYS_AT_MOST = 3_660  # ten years: what a page can draw


class DaysForm(forms.Form):
    """`from` and `to`, both included. The names are those of the permanent link."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in (("from", _("From day")), ("to", _("To day"))):  # "from" is no name for an attribute
            self.fields[name] = forms.DateField(
                label=label,
                widget=forms.DateInput(
                    format="%Y-%m-%d", attrs={"type": "date", "min": str(EARLIEST), "max": str(LATEST)}
                ),
            )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        first, last = data.get("from"), data.get("to")
        for name, day in (("from", first), ("to", last)):
            if isinstance(day, date) and not EARLIEST <= day <= LATEST:
                self.add_error(name, _("Choose a day from %(earliest)s on.") % {"earliest": EARLIEST})
        if self.errors or first is None or last is None:
            return data
        if last < first:
            self.add_error("to", _("The last day lies before the first."))
        elif (last - first).days >= DAYS_AT_MOST:
            self.add_error("to", _("A report covers ten years at most."))
        return data

    @property
    def days(self) -> Days:
        """Of a valid form."""
        return Days(self.cleaned_data["from"], self.cleaned_data["to"])


LIMITS = {EnergyFactor.Kind.PUE: (1, 5), EnergyFactor.Kind.GRID: (0, 3)}  # as the database has them


class FactorForm(forms.Form):
    kind = forms.ChoiceField(label=_("Factor"), choices=EnergyFactor.Kind.choices)
    value = forms.DecimalField(label=_("Value"), max_digits=8, decimal_places=4)
    valid_from = forms.DateField(
        label=_("Valid from"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    )
    source = forms.CharField(label=_("Source"), max_length=400, help_text=_("Who says so, where, and of which year."))

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        value, kind = data.get("value"), data.get("kind")
        if isinstance(value, Decimal) and kind in LIMITS:
            least, most = LIMITS[EnergyFactor.Kind(kind)]
            if not least <= value <= most:
                words = {"least": least, "most": most}
                self.add_error("value", _("It lies between %(least)s and %(most)s.") % words)
        return data
