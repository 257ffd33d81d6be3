"""Forms check form: is it there, is it a number, is it one of the choices. The rules are the services'."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.people.models import Project, User
from quotas.allocations.services import TranchePlan
from quotas.applications.models import Application
from quotas.clusters import cluster_choices
from quotas.programmes.models import Call, Criterion
from quotas.reviews.expertise import PRODUCT_GROUPS, SECTORS
from quotas.reviews.models import OPEN_REVIEWS_USUAL, Assignment, Decision, ReviewerProfile, Score
from quotas.reviews.selectors import projects_for_award, reviewers_that_can_join
from quotas.reviews.services.scoring import ScoreGiven
from quotas.units import SECONDS_PER_HOUR


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
    first_gpu_hours = forms.IntegerField(
        label=_("Of these from the first day"),
        required=False,
        min_value=1,
        help_text=_("Leave it empty to give all of them from the first day."),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    rest_on = forms.DateField(
        label=_("The rest on"),
        required=False,
        help_text=_("Leave it empty to give the rest with an accepted progress report."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The applicant reads it once the decision is confirmed."),
    )

    def __init__(self, *args: Any, application: Application, **options: Any) -> None:
        self.application = application
        options.setdefault("initial", {"awarded_gpu_hours": application.gpu_hours})
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["project"]).queryset = projects_for_award(application)
        cast(forms.ChoiceField, self.fields["cluster"]).choices = cluster_choices()
        if self.data.get("outcome") == Decision.Outcome.REFUSAL:
            self.fields["awarded_gpu_hours"].required = self.fields["cluster"].required = False

    def clean_awarded_gpu_hours(self) -> int:
        return self.cleaned_data["awarded_gpu_hours"] or 0

    def clean(self) -> dict[str, Any]:
        """Turns the two fields of a first part and the rest into tranches."""
        given = self.cleaned_data
        first, rest_on = given.pop("first_gpu_hours", None), given.pop("rest_on", None)
        given["tranches"] = []
        if given.get("outcome") != Decision.Outcome.AWARD or not given.get("awarded_gpu_hours"):
            return given
        rest = given["awarded_gpu_hours"] - (first or 0)
        if first and rest > 0:
            given["tranches"] = [
                TranchePlan(first * SECONDS_PER_HOUR, self.application.starts_on),
                TranchePlan(rest * SECONDS_PER_HOUR, rest_on, needs_report=rest_on is None),
            ]
        elif first or rest_on:
            message = _("Give a part that is smaller than the award, or leave both fields empty.")
            self.add_error("first_gpu_hours", message)
        return given


class SendBackForm(forms.Form):
    reason = forms.CharField(
        label=_("What is to be changed"), max_length=4_000, widget=forms.Textarea(attrs={"rows": 3})
    )


class ReviewForm(forms.Form):
    """A score and a reason for each of the call's criteria. `whole`: to be submitted, so nothing may be missing."""

    def __init__(
        self,
        *args: Any,
        criteria: Sequence[Criterion],
        assignment: Assignment,
        scores: Mapping[str, Score],
        whole: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.criteria = criteria
        for one in criteria:
            known = scores.get(one.key)
            self.fields[f"score_{one.key}"] = forms.TypedChoiceField(
                label=_("Score"),
                choices=[("", "–"), *((value, str(value)) for value in range(one.max_score + 1))],
                coerce=int,
                empty_value=None,
                required=whole,
                initial=known.value if known else None,
            )
            self.fields[f"reason_{one.key}"] = forms.CharField(
                label=_("Why"),
                required=whole,
                max_length=4_000,
                widget=forms.Textarea(attrs={"rows": 3}),
                initial=known.reason if known else "",
            )
        self.fields["comment"] = forms.CharField(
            label=_("Comment for those who decide"),
            required=False,
            max_length=4_000,
            widget=forms.Textarea(attrs={"rows": 4}),
            initial=assignment.comment,
        )

    def by_criterion(self) -> list[tuple[Criterion, forms.BoundField, forms.BoundField]]:
        return [(one, self[f"score_{one.key}"], self[f"reason_{one.key}"]) for one in self.criteria]

    def scores(self) -> dict[str, ScoreGiven]:
        return {
            one.key: ScoreGiven(self.cleaned_data[f"score_{one.key}"], self.cleaned_data[f"reason_{one.key}"])
            for one in self.criteria
        }


class InterestForm(forms.Form):
    reason = forms.CharField(
        label=_("What binds you to the organisation"),
        max_length=400,
        help_text=_("For example: you work with one of its people, or own shares. The centre reads it."),
    )


class ConflictForm(forms.Form):
    email = forms.EmailField(label=_("The person's e-mail address"), max_length=254)
    reason = forms.CharField(label=_("Why this person is not to decide or to review"), max_length=400)


class ReviewerForm(forms.Form):
    reviewer = forms.ModelChoiceField(User.objects.none(), label=_("Reviewer"), empty_label=None)

    def __init__(self, *args: Any, call: Call, **options: Any) -> None:
        super().__init__(*args, **options)
        field = cast(forms.ModelChoiceField, self.fields["reviewer"])
        field.queryset = reviewers_that_can_join(call)
        if not self.is_bound:  # a page looks at them several times: is there anybody, which is the first, all of them
            field.choices = [(one.pk, str(one)) for one in field.queryset]


class AssignForm(forms.Form):
    application = forms.ModelChoiceField(Application.objects.none())
    reviewer = forms.ModelChoiceField(User.objects.none())

    def __init__(self, *args: Any, call: Call, **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["application"]).queryset = Application.objects.filter(
            call=call
        ).select_related("organisation")
        cast(forms.ModelChoiceField, self.fields["reviewer"]).queryset = User.objects.filter(is_active=True)


class ExpertiseForm(forms.Form):
    sectors = forms.MultipleChoiceField(
        label=_("Sectors"), choices=SECTORS, required=False, widget=forms.CheckboxSelectMultiple
    )
    product_groups = forms.MultipleChoiceField(
        label=_("Product groups"), choices=PRODUCT_GROUPS, required=False, widget=forms.CheckboxSelectMultiple
    )
    open_reviews_limit = forms.IntegerField(
        label=_("Open reviews at most"), widget=forms.NumberInput(attrs={"inputmode": "numeric"})
    )

    def __init__(self, *args: Any, profile: ReviewerProfile | None, **options: Any) -> None:
        options["initial"] = {
            "sectors": profile.sectors if profile else [],
            "product_groups": profile.product_groups if profile else [],
            "open_reviews_limit": profile.open_reviews_limit if profile else OPEN_REVIEWS_USUAL,
        }
        super().__init__(*args, **options)
