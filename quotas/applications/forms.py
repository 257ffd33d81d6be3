"""Forms check form: is it there, is it a number, is it one of the choices. The rules are the services'."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.people.models import Organisation, User
from quotas.applications.selectors import gpu_types_open, organisations_that_can_apply
from quotas.programmes.models import Programme
from quotas.programmes.selectors import programmes_open


def _day() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class ApplicationForm(forms.Form):
    organisation = forms.ModelChoiceField(Organisation.objects.none(), label=_("Organisation"), empty_label=None)
    programme = forms.ModelChoiceField(Programme.objects.none(), label=_("Programme"), empty_label=None)
    project_title = forms.CharField(
        label=_("Project title"),
        max_length=200,
        help_text=_("One line that says what you build. The project keeps this name if the application is awarded."),
    )
    purpose = forms.CharField(
        label=_("Purpose"),
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_("What is trained, on which data, and what will be published."),
    )
    gpu_type = forms.ChoiceField(label=_("GPU type"))
    gpu_hours = forms.IntegerField(
        label=_("GPU-hours asked for"),
        min_value=1,
        help_text=_("Hours × GPUs: 8 GPUs for 12 hours are 96 GPU-hours."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    starts_on = forms.DateField(label=_("From"), widget=_day(), input_formats=["%Y-%m-%d"])
    ends_on = forms.DateField(label=_("To"), widget=_day(), input_formats=["%Y-%m-%d"])

    def __init__(self, *args: Any, person: User, **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["organisation"]).queryset = organisations_that_can_apply(person)
        cast(forms.ModelChoiceField, self.fields["programme"]).queryset = programmes_open()
        cast(forms.ChoiceField, self.fields["gpu_type"]).choices = [(name, name.upper()) for name in gpu_types_open()]
