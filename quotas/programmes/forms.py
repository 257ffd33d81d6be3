"""Forms check form: is it there, is it a number, is it a day. The rules are the services'."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.clock import centre_date, now
from portal.people.models import Organisation
from quotas.clusters import cluster_choices
from quotas.fields import PercentField, WholeNumberField
from quotas.programmes.models import Call, Programme
from quotas.programmes.terms import Terms

DAY = ["%Y-%m-%d"]  # what a date input speaks, in every language
MOMENT = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]


def _day() -> forms.DateInput:
    return forms.DateInput(format=DAY[0], attrs={"type": "date"})


def _moment() -> forms.DateTimeInput:
    return forms.DateTimeInput(format=MOMENT[0], attrs={"type": "datetime-local"})


def _summary(label: Any) -> forms.CharField:
    return forms.CharField(label=label, max_length=2_000, required=False, widget=forms.Textarea(attrs={"rows": 4}))


def _slug() -> forms.CharField:
    return forms.CharField(
        label=_("Short name"),
        max_length=40,
        help_text=_("Part of its address: lower-case letters, digits and hyphens. It never changes."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def _reason(help_text: Any) -> forms.CharField:
    return forms.CharField(
        label=_("Reason"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 3}), help_text=help_text
    )


def _gpu_type(**options: Any) -> forms.CharField:
    return forms.CharField(
        label=_("GPU type"),
        max_length=32,
        help_text=_("As Slurm calls it, for instance h100."),
        widget=forms.TextInput(attrs={"list": "gpu-types", "autocomplete": "off", "spellcheck": "false"}),
        **options,
    )


class ProgrammeForm(forms.Form):
    """What a programme is called and when it is valid. `programme`: the one that is changed; its short name stands."""

    name = forms.CharField(label=_("Name"), max_length=200)
    slug = _slug()
    starts_on = forms.DateField(label=_("From"), widget=_day(), input_formats=DAY)
    ends_on = forms.DateField(label=_("To"), widget=_day(), input_formats=DAY)
    summary_vi = _summary(_("Summary in Vietnamese"))
    summary_en = _summary(_("Summary in English"))
    is_sandbox = forms.BooleanField(
        label=_("A sandbox"),
        required=False,
        help_text=_(
            "For trying things out: small, short jobs, few at once for each person, whatever the award. Never changes."
        ),
    )

    def __init__(self, *args: Any, programme: Programme | None = None, **options: Any) -> None:
        if programme is None:
            today = centre_date(now())
            options.setdefault("initial", {"starts_on": today, "ends_on": today.replace(month=12, day=31)})
        else:
            fields = ("name", "starts_on", "ends_on", "summary_vi", "summary_en")
            options.setdefault("initial", {name: getattr(programme, name) for name in fields})
        super().__init__(*args, **options)
        if programme is not None:
            del self.fields["slug"]
            del self.fields["is_sandbox"]


class TermsForm(forms.Form):
    """A programme's rules. An empty share: that kind of organisation may not apply; an empty limit: none."""

    largest_award_gpu_hours = WholeNumberField(label=_("Largest award, GPU-hours"), required=False)
    largest_award_vnd = WholeNumberField(label=_("Largest award, VND"), required=False)
    open_vouchers_limit = WholeNumberField(label=_("Open vouchers an organisation may hold"), required=False)
    three_person_above_vnd = WholeNumberField(
        label=_("Two approvers above, VND"),
        required=False,
        help_text=_("Above it, two people approve beside the proposer. Empty: one always suffices."),
    )
    clawback_on = forms.DateField(
        label=_("Clawback on"),
        required=False,
        widget=_day(),
        input_formats=DAY,
        help_text=_("On this day a share of what is unspent goes back to the programme."),
    )
    clawback_basis_points = PercentField(label=_("Share clawed back, %"), required=False)

    def __init__(self, *args: Any, terms: Terms, **options: Any) -> None:
        shares = {f"share_{kind}": share for kind, share in terms.shares.items()}
        limits = terms.limits | {"clawback_basis_points": terms.clawback_basis_points or None}
        options.setdefault("initial", shares | limits)
        super().__init__(*args, **options)
        for kind, label in Organisation.Kind.choices:
            self.fields[f"share_{kind}"] = PercentField(
                label=label, required=False, widget=forms.NumberInput(attrs={"step": "0.01", "placeholder": "—"})
            )

    def shares(self) -> list[forms.BoundField]:
        """The fields of the state's part, one a kind of organisation."""
        return [self[f"share_{kind}"] for kind in Organisation.Kind.values]

    def terms(self) -> Terms:
        data = self.cleaned_data
        shares = {kind: data[f"share_{kind}"] for kind in Organisation.Kind.values}
        return Terms(
            shares={kind: share for kind, share in shares.items() if share is not None},
            **{name: data[name] for name in Terms().limits if name != "clawback_basis_points"},
            clawback_basis_points=data["clawback_basis_points"] or 0,
        )


class TermsProposalForm(TermsForm):
    reason = _reason(_("Another person reads it and approves the change or sends it back."))


class BudgetForm(forms.Form):
    direction = forms.ChoiceField(
        label=_("What to do"),
        choices=[("add", _("Add to the budget")), ("take", _("Take back what is free"))],
        initial="add",
        widget=forms.RadioSelect,
    )
    vnd = WholeNumberField(label=_("Money, VND"), required=False)
    gpu_type = _gpu_type(required=False)
    gpu_hours = WholeNumberField(label=_("Amount of GPU-hours"), required=False)
    reason = _reason(_("Where the money comes from. Other people read it and approve."))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("gpu_hours") and not data.get("gpu_type"):
            self.add_error("gpu_type", _("Say of which type."))
        if data.get("gpu_type") and not data.get("gpu_hours") and "gpu_hours" not in self.errors:
            self.add_error("gpu_hours", _("Say how many."))
        return data

    def amounts(self) -> Mapping[str, Any]:
        """As `budget_propose` takes them: VND, and GPU-seconds by type, negative where they are taken back."""
        data = self.cleaned_data
        sign = -1 if data["direction"] == "take" else 1
        hours = data.get("gpu_hours") or 0
        return {
            "vnd": sign * (data.get("vnd") or 0),
            "gpu_seconds": {data["gpu_type"]: sign * hours * 3_600} if hours else {},
        }


class TariffForm(forms.Form):
    gpu_type = _gpu_type()
    cluster = forms.ChoiceField(
        label=_("Cluster"), required=False, help_text=_("A cluster's own tariff goes before the one of all clusters.")
    )
    vnd_per_gpu_hour = WholeNumberField(label=_("VND per GPU-hour"))
    valid_from = forms.DateField(
        label=_("Valid from"),
        widget=_day(),
        input_formats=DAY,
        help_text=_("Tomorrow at the earliest; the first tariff of a GPU type may begin today."),
    )
    reason = _reason(_("Another person reads it and approves the tariff or sends it back."))

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("initial", {"valid_from": centre_date(now()) + timedelta(days=1)})
        super().__init__(*args, **options)
        cast(forms.ChoiceField, self.fields["cluster"]).choices = [("", _("All clusters")), *cluster_choices()]


class CallForm(forms.Form):
    """`call`: the one that is changed; its short name stands."""

    title = forms.CharField(label=_("Title"), max_length=200)
    slug = _slug()
    opens_at = forms.DateTimeField(label=_("Opens"), widget=_moment(), input_formats=MOMENT)
    closes_at = forms.DateTimeField(
        label=_("Closes"),
        widget=_moment(),
        input_formats=MOMENT,
        help_text=_("Hanoi time. From this moment on no application is taken."),
    )
    reviews_needed = forms.IntegerField(
        label=_("Reviews of each application"), min_value=1, max_value=9, initial=2, widget=forms.NumberInput
    )
    summary_vi = _summary(_("Summary in Vietnamese"))
    summary_en = _summary(_("Summary in English"))

    def __init__(self, *args: Any, call: Call | None = None, **options: Any) -> None:
        if call is not None:
            fields = ("title", "opens_at", "closes_at", "reviews_needed", "summary_vi", "summary_en")
            options.setdefault("initial", {name: getattr(call, name) for name in fields})
        super().__init__(*args, **options)
        self.call = call
        if call is not None:
            del self.fields["slug"]

    def clean(self) -> dict[str, Any]:
        """The page shows minutes: a moment that it sends back as it was shown keeps its seconds."""
        data = super().clean() or {}
        for name in ("opens_at", "closes_at"):
            kept = getattr(self.call, name, None)
            if kept is not None and data.get(name) == kept.replace(second=0, microsecond=0):
                data[name] = kept
        return data
