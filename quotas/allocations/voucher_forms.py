"""Forms of a voucher's verbs. Each is made for one voucher: its choices are that voucher's."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from portal.people.models import Project
from quotas.allocations.models import (
    Allocation,
    ChangeRequest,
    CloseOut,
    Commitment,
    ProgressReport,
    Refund,
    Tranche,
    Voucher,
)
from quotas.clusters import cluster_choices, cluster_titles
from quotas.programmes.models import ProgrammePool
from quotas.units import SECONDS_PER_HOUR, gpu_hours_text

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class VoucherForm(forms.Form):
    def __init__(self, *args: Any, voucher: Voucher, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.voucher = voucher
        self.choices_set()

    def choices_set(self) -> None:
        """For those who have choices."""


class HoursField(forms.DecimalField):
    """GPU-hours with up to two places; cleans to GPU-seconds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label=_("GPU-hours"), min_value=Decimal("0.01"), max_digits=12, decimal_places=2, **kwargs)

    def clean(self, value: Any) -> Any:
        hours = super().clean(value)
        return None if hours is None else int(hours * SECONDS_PER_HOUR)


def reason_field(help_text: "StrOrPromise" = "") -> forms.CharField:
    return forms.CharField(label=_("Reason"), max_length=400, help_text=help_text)


class AllocationChoice(forms.ModelChoiceField):
    @cached_property
    def titles(self) -> dict[str, str]:
        return cluster_titles()

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.project} · {obj.gpu_type.upper()} · {self.titles.get(obj.cluster, obj.cluster)}"


def allocation_choice(label: "StrOrPromise") -> AllocationChoice:
    return AllocationChoice(label=label, queryset=Allocation.objects.none())


class AllocateForm(VoucherForm):
    project = forms.ModelChoiceField(label=_("Project"), queryset=Project.objects.none())
    cluster = forms.ChoiceField(label=_("Cluster"), choices=())
    gpu_hours = HoursField()

    def choices_set(self) -> None:
        fields: Any = self.fields
        fields["project"].queryset = Project.objects.filter(
            organisation=self.voucher.organisation, is_active=True
        ).order_by("title")
        fields["cluster"].choices = cluster_choices()


class FromForm(VoucherForm):
    source = allocation_choice(_("From the project"))
    gpu_hours = HoursField()
    reason = reason_field(_("The people of the project see it."))

    def choices_set(self) -> None:
        fields: Any = self.fields
        open_ = [Allocation.State.ACTIVE, Allocation.State.SUSPENDED]
        rows = self.voucher.allocations.filter(state__in=open_).select_related("project")
        for name in ("source", "target"):
            if name in fields:
                fields[name].queryset = rows


class MoveForm(FromForm):
    source = allocation_choice(_("From the project"))
    target = allocation_choice(_("To the project"))
    field_order = ["source", "target", "gpu_hours", "reason"]


class ClusterMoveForm(FromForm):
    cluster = forms.ChoiceField(
        label=_("To the cluster"),
        choices=(),
        help_text=_("To the same project's allocation there; one is made where it has none."),
    )
    field_order = ["source", "cluster", "gpu_hours", "reason"]

    def choices_set(self) -> None:
        super().choices_set()
        fields: Any = self.fields
        fields["cluster"].choices = cluster_choices()


class ReturnForm(VoucherForm):
    gpu_hours = HoursField()
    reason = reason_field()


class ChangeForm(VoucherForm):
    kind = forms.ChoiceField(label=_("What changes"), choices=ChangeRequest.Kind.choices)
    gpu_hours = HoursField(
        required=False, help_text=_("For more GPU-hours: how many more. For another type: how many of what is unspent.")
    )
    ends_on = forms.DateField(
        label=_("New last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("For a later end."),
    )
    gpu_type = forms.ChoiceField(label=_("Other GPU type"), required=False, choices=())
    reason = forms.CharField(label=_("Reason"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 4}))

    def choices_set(self) -> None:
        fields: Any = self.fields
        types = ProgrammePool.objects.filter(programme=self.voucher.programme_id).values_list("gpu_type", flat=True)
        others = [(name, name.upper()) for name in types if name != self.voucher.gpu_type]
        fields["gpu_type"].choices = [("", "—"), *others]


class TrancheChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        day = f" · {date_format(obj.release_on)}" if obj.release_on else ""
        return f"{obj.number}: {gpu_hours_text(obj.amount_gpu_seconds)}{day}"


class TrancheForm(VoucherForm):
    tranche = TrancheChoice(label=_("Tranche, GPU-hours"), queryset=Tranche.objects.none())

    def choices_set(self) -> None:
        fields: Any = self.fields
        fields["tranche"].queryset = self.voucher.tranches.filter(state=Tranche.State.PENDING)


class LoseForm(TrancheForm):
    reason = reason_field()


class ReportForm(TrancheForm):
    text = forms.CharField(label=_("What was done"), max_length=8_000, widget=forms.Textarea(attrs={"rows": 8}))
    links = forms.CharField(
        label=_("Links"),
        required=False,
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One address a line: code, measurements, publications."),
    )

    def choices_set(self) -> None:
        super().choices_set()
        fields: Any = self.fields
        fields["tranche"].queryset = fields["tranche"].queryset.filter(needs_report=True)


class ReportDecisionForm(VoucherForm):
    report = forms.ModelChoiceField(label=_("Report"), queryset=ProgressReport.objects.none())
    answer = forms.CharField(
        label=_("Answer to the organisation"),
        required=False,
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def choices_set(self) -> None:
        fields: Any = self.fields
        rows = ProgressReport.objects.filter(tranche__voucher=self.voucher, state=ProgressReport.State.WAITING)
        fields["report"].queryset = rows
        fields["report"].label_from_instance = lambda row: f"{row.tranche.number}: {row.written_by}"


class RequestForm(VoucherForm):
    change = forms.ModelChoiceField(label=_("Request"), queryset=ChangeRequest.objects.none())

    def choices_set(self) -> None:
        fields: Any = self.fields
        fields["change"].queryset = self.voucher.change_requests.filter(state=ChangeRequest.State.WAITING)
        fields["change"].label_from_instance = lambda row: row.get_kind_display()


class RequestDecisionForm(RequestForm):
    reason = reason_field()


class ClawbackForm(VoucherForm):
    percent = forms.DecimalField(
        label=_("Share of what is unspent, %"), min_value=Decimal("0.01"), max_value=100, decimal_places=2
    )
    reason = reason_field(_("The organisation sees it."))


class RefundForm(VoucherForm):
    allocation = allocation_choice(_("Allocation"))
    charge = forms.UUIDField(label=_("Charge"), help_text=_("Its number stands on the allocation's transfers."))
    gpu_hours = HoursField()
    reason = reason_field(_("The organisation sees it."))

    def choices_set(self) -> None:
        fields: Any = self.fields
        fields["allocation"].queryset = self.voucher.allocations.select_related("project")


class CorrectionForm(VoucherForm):
    refund = forms.ModelChoiceField(label=_("Refund"), queryset=Refund.objects.none())
    gpu_hours = HoursField()
    reason = reason_field(_("The organisation sees it."))

    def choices_set(self) -> None:
        fields: Any = self.fields
        rows = Refund.objects.filter(allocation__voucher=self.voucher, amount_gpu_seconds__gt=0)
        fields["refund"].queryset = rows
        fields["refund"].label_from_instance = lambda row: (
            f"{date_format(row.created_at)}: {gpu_hours_text(row.amount_gpu_seconds)}"
        )


class CloseOutForm(VoucherForm):
    title = forms.CharField(label=_("Title of the result"), max_length=200)
    summary = forms.CharField(label=_("Final report"), max_length=8_000, widget=forms.Textarea(attrs={"rows": 10}))
    model_link = forms.URLField(label=_("Link to the model"), required=False, max_length=400, assume_scheme="https")
    method_link = forms.URLField(label=_("Link to the method"), required=False, max_length=400, assume_scheme="https")
    data_link = forms.URLField(label=_("Link to the data"), required=False, max_length=400, assume_scheme="https")

    def choices_set(self) -> None:
        row = CloseOut.objects.filter(voucher=self.voucher).first()
        if row is not None:
            self.initial = {name: getattr(row, name) for name in self.fields}


class ReasonOnlyForm(VoucherForm):
    reason = forms.CharField(label=_("Reason"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 3}))


class CheckForm(VoucherForm):
    """For each commitment whether it was met, and the evidence; both are published."""

    def choices_set(self) -> None:
        answers = [("yes", _("Met")), ("no", _("Not met"))]
        for name in self.voucher.commitments:
            self.fields[f"{name}_met"] = forms.ChoiceField(
                label=Commitment(name).label, choices=answers, widget=forms.RadioSelect
            )
            self.fields[name] = forms.CharField(
                label=_("Evidence"), max_length=2_000, widget=forms.Textarea(attrs={"rows": 2})
            )
