from typing import Any, cast
from uuid import UUID

from django import forms
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from portal.people.selectors import projects_of
from scheduler.jobs.arrays import ArrayInvalid, array_parse
from scheduler.jobs.chaining import MOST_DEPENDENCIES, MOST_RESTARTS, After, Chaining
from scheduler.jobs.durations import DurationInvalid, time_limit_parse
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Dependency, Job
from scheduler.jobs.presets.definition import Preset

SHOWN_OPEN, SHOWN_ENDED = 100, 20


class ChainingForm(forms.Form):
    """What ties a job to others: tasks of an array, jobs to wait for, runs that continue it. All may be left empty.

    Beside `JobForm`, in the same HTML form; `chaining()` is for `job_submit`. Which jobs may be waited for is the
    service's to say; this offers those that the person can choose.
    """

    array = forms.CharField(
        label=_("Tasks of an array"),
        required=False,
        max_length=200,
        help_text=_(
            "Such as 0-99%8: a hundred tasks of this size, at most eight at once. Each is a job of its own with "
            "SLURM_ARRAY_TASK_ID set; all are held for together."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    after = forms.MultipleChoiceField(label=_("Start only after"), required=False)
    after_kind = forms.ChoiceField(
        label=_("How it must have ended"), required=False, choices=Dependency.Kind.choices, initial="afterok"
    )
    unsatisfied = forms.ChoiceField(
        label=_("If that can never happen"),
        required=False,
        choices=[("cancel", _("cancel this job")), ("keep", _("keep it waiting, and let me decide"))],
        initial="cancel",
    )
    restarts = forms.IntegerField(
        label=_("Go on after the time limit, at most"),
        required=False,
        min_value=0,
        max_value=MOST_RESTARTS,
        help_text=_(
            "So many more runs. The script is sent USR1 before its limit; it must save its state and call scontrol "
            "requeue. Each run is held for and charged by itself; without balance for another one it ends there."
        ),
        widget=forms.NumberInput(attrs={"min": 0}),
    )
    checkpoint_lead = forms.CharField(
        label=_("Time to save its state"),
        required=False,
        max_length=40,
        help_text=_("Such as 5m: so long before the limit the script is told."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, person: User, preset: Preset | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.person = person
        if preset and preset.checkpoint_lead_s:
            # It asks for its runs itself, and its script knows what to do before the limit.
            del self.fields["restarts"], self.fields["checkpoint_lead"]
        # What is not in the list any more is looked up by the service, which says what is wrong with it.
        self.fields["after"].validate = lambda value: None  # type: ignore[method-assign]

    def offer(self) -> None:
        """Fills the list of jobs to wait for; needed only where the form is shown."""
        own = Job.objects.filter(project__in=projects_of(self.person), origin=Job.Origin.PORTAL)
        rows = own.select_related("project").only("id", "name", "state", "created_at", "project__title")
        open_jobs = list(rows.filter(state__in=Job.OPEN_STATES)[:SHOWN_OPEN])
        ended = list(rows.exclude(state__in=Job.OPEN_STATES)[:SHOWN_ENDED])
        field = cast(forms.MultipleChoiceField, self.fields["after"])
        field.choices = [(str(job.pk), _label(job)) for job in (*open_jobs, *ended)]
        field.widget.attrs["size"] = min(max(len(open_jobs) + len(ended), 2), 6)

    @property
    def is_used(self) -> bool:
        asked = {"array", "after", "restarts", "checkpoint_lead"} & self.fields.keys()
        return self.is_bound and any(self.data.get(name) for name in asked)

    def clean_array(self) -> str:
        text: str = self.cleaned_data["array"]
        try:
            return str(array_parse(text)) if text.strip() else ""
        except ArrayInvalid as error:
            raise forms.ValidationError(str(error)) from error

    def clean_after(self) -> list[UUID]:
        values = self.cleaned_data["after"]
        if len(values) > MOST_DEPENDENCIES:
            raise forms.ValidationError(
                _("A job waits for at most %(most)d others."), params={"most": MOST_DEPENDENCIES}
            )
        try:
            return list(dict.fromkeys(UUID(value) for value in values))
        except ValueError as error:
            raise forms.ValidationError(_("Choose jobs of the same project.")) from error

    def clean_checkpoint_lead(self) -> int:
        text: str = self.cleaned_data["checkpoint_lead"]
        try:
            return time_limit_parse(text) if text.strip() else 0
        except DurationInvalid as error:
            raise forms.ValidationError(str(error)) from error

    def chaining(self) -> Chaining:
        """Only of a valid form."""
        data = self.cleaned_data
        kind = data.get("after_kind") or Dependency.Kind.AFTER_OK
        return Chaining(
            array=data["array"],
            after=tuple(After(job=pk, kind=kind) for pk in data["after"]),
            keeps_unsatisfied=data.get("unsatisfied") == "keep",
            restarts=data.get("restarts") or 0,
            checkpoint_lead_s=data.get("checkpoint_lead") or 0,
        )

    def refuse(self, refused: JobRefused) -> None:
        """Puts what a service refused beside its fields; what belongs to others is left to them."""
        for problem in refused.problems:
            if problem.field in self.fields:
                self.add_error(problem.field, str(problem))


def _label(job: Job) -> str:
    created = date_format(job.created_at, "SHORT_DATE_FORMAT")
    return f"{job.name} · {job.project.title} · {job.get_state_display()} · {created}"
