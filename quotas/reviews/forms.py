"""Forms check form: is it there, is it a number, is it one of the choices. The rules are the services'."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from portal.people.models import Project
from quotas.applications.models import Application
from quotas.reviews.models import Decision
from quotas.reviews.selectors import projects_for_award


class ProposalForm(forms.Form):
    outcome = forms.ChoiceField(
        label=_("Decision"), choices=Decision.Outcome.choices, initial=Decision.Outcome.AWARD, widget=forms.RadioSelect
    )
    awarded_gpu_hours = forms.IntegerField(
        label=_("GPU-hours awarded"), widget=forms.NumberInput(attrs={"inputmode": "numeric"})
    )
    cluster = forms.ChoiceField(label=_("Cluster"))
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("A new project")
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The applicant reads it once the decision is confirmed."),
    )

    def __init__(self, *args: Any, application: Application, **options: Any) -> None:
        options.setdefault("initial", {"awarded_gpu_hours": application.gpu_hours})
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["project"]).queryset = projects_for_award(application)
        cast(forms.ChoiceField, self.fields["cluster"]).choices = [(name, name) for name in settings.CLUSTERS]
        if self.data.get("outcome") == Decision.Outcome.REFUSAL:
            self.fields["awarded_gpu_hours"].required = self.fields["cluster"].required = False

    def clean_awarded_gpu_hours(self) -> int:
        return self.cleaned_data["awarded_gpu_hours"] or 0


class SendBackForm(forms.Form):
    reason = forms.CharField(
        label=_("What is to be changed"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 3})
    )
