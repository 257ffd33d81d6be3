"""Forms check form. What a data set may be is the services' to say."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from portal.people.models import Organisation, Project
from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet
from scheduler.datasets.services import Described
from scheduler.datasets.sizes import size_input, size_parse

DAY = ["%Y-%m-%d"]  # what a date input speaks, in every language


def _plain(**more: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", **more})


class ProjectField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Project) -> str:
        return f"{obj.organisation} · {obj.title}"


class DataSetForm(forms.Form):
    """A data set as an operator describes it. `data_set`: the one that is changed; its short name and cluster stand."""

    name = forms.CharField(label=_("Name"), max_length=200)
    slug = forms.CharField(
        label=_("Short name"),
        max_length=40,
        help_text=_("Part of its address, of its variable in a job and of its unix group. It never changes."),
        widget=_plain(),
    )
    cluster = forms.ModelChoiceField(label=_("Cluster"), queryset=Cluster.objects.none(), empty_label=None)
    path = forms.CharField(
        label=_("Path"),
        max_length=500,
        help_text=_("The whole path of its folder on the cluster, the same on every node."),
        widget=_plain(),
    )
    version = forms.CharField(
        label=_("Version"),
        max_length=40,
        help_text=_("Such as 2026.1. Files that change are a new version: jobs keep the one that they used."),
        widget=_plain(),
    )
    released_on = forms.DateField(
        label=_("Released on"),
        required=False,
        widget=forms.DateInput(format=DAY[0], attrs={"type": "date"}),
        input_formats=DAY,
    )
    size_bytes = forms.CharField(label=_("Size"), max_length=40, help_text=_("Such as 1.5 TB."), widget=_plain())
    file_count = forms.IntegerField(label=_("Number of files"), min_value=0, max_value=2**59)
    description = forms.CharField(
        label=_("Description"), required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 6})
    )
    licence_name = forms.CharField(label=_("Licence"), max_length=120, help_text=_("Such as CC BY 4.0."))
    licence_url = forms.CharField(
        label=_("Address of the licence"),
        required=False,
        max_length=300,
        widget=forms.URLInput(attrs={"inputmode": "url"}),
    )
    audience = forms.ChoiceField(
        label=_("Who may use it"),
        choices=DataSet.Audience.choices,
        widget=forms.RadioSelect(attrs={"class": "btn-check"}),
        initial="everyone",
    )
    organisations = forms.ModelMultipleChoiceField(
        label=_("Organisations"),
        required=False,
        queryset=Organisation.objects.none(),
        help_text=_("All of their projects may use it. Counts only for named ones."),
        widget=forms.SelectMultiple(attrs={"size": 6}),
    )
    projects = ProjectField(
        label=_("Projects"),
        required=False,
        queryset=Project.objects.none(),
        help_text=_("Single projects of other organisations. Counts only for named ones."),
        widget=forms.SelectMultiple(attrs={"size": 6}),
    )

    def __init__(self, *args: Any, data_set: DataSet | None = None, **options: Any) -> None:
        if data_set is not None:
            options.setdefault("initial", _initial(data_set))
        super().__init__(*args, **options)
        for name, rows in (
            ("organisations", Organisation.objects.filter(imported=False)),
            ("projects", Project.objects.filter(is_active=True, imported=False).select_related("organisation")),
        ):
            cast(forms.ModelMultipleChoiceField, self.fields[name]).queryset = rows
        if data_set is not None:
            del self.fields["slug"], self.fields["cluster"]
        else:
            clusters = Cluster.objects.filter(is_active=True).order_by("name")
            cast(forms.ModelChoiceField, self.fields["cluster"]).queryset = clusters

    def clean_size_bytes(self) -> int:
        try:
            return size_parse(self.cleaned_data["size_bytes"])
        except ValueError as error:
            raise forms.ValidationError(_now("Write a number and a unit: 120 GB, 1.5 TB.")) from error

    def described(self) -> Described:
        """Only of a valid form."""
        data = self.cleaned_data
        return Described(**{name: data[name] for name in Described.__dataclass_fields__})


class WithdrawalForm(forms.Form):
    reason = forms.CharField(
        label=_("Why"),
        max_length=400,
        help_text=_("Whoever used it reads this on its page, and beside the field of a job that wants it."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )


def _initial(data_set: DataSet) -> dict[str, Any]:
    names = set(Described.__dataclass_fields__) - {"organisations", "projects", "size_bytes"}
    permits = list(data_set.permits.all())
    return {name: getattr(data_set, name) for name in names} | {
        "size_bytes": size_input(data_set.size_bytes),
        "organisations": [row.organisation_id for row in permits if row.organisation_id],
        "projects": [row.project_id for row in permits if row.project_id],
    }
