from typing import Any, cast
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import AllocationRow
from quotas.units import gpu_hours_text
from scheduler.jobs.durations import DurationInvalid, duration_input, time_limit_parse
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job
from scheduler.jobs.preflight import Problem
from scheduler.jobs.presets import Preset, presets_offered
from scheduler.jobs.script import strip_block
from scheduler.jobs.selectors import ProjectChoice, allocation_chosen

MOST = 1_000_000
SKELETON = "#!/bin/bash\n# Your commands. srun starts a task on every node.\nsrun hostname\n"
PROBE = "a\nb"  # a textarea of the form: how its line end comes back tells whether a browser wrote CRLF for all of them
# What this form can give a preset, of what `Preset.needs` names: so far no inputs for its fields, and no environment.
GIVES: frozenset[str] = frozenset()
FIELD_OF = {"project": "allocation"}  # the form asks for both in one field


class JobForm(forms.Form):
    """A job, as a person describes it. What it may be is the service's to say; this only reads it."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    line_end = forms.CharField(required=False, strip=False, widget=forms.Textarea(attrs={"hidden": True}))
    preset = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    allocation = forms.ChoiceField(
        label=_("Project and allocation"), help_text=_("What is left of each stands beside it, in GPU-hours.")
    )
    name = forms.CharField(label=_("Name"), max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    # What a partition has is the preflight's to say; these bounds only keep absurd numbers out of its sentences.
    gpus_per_node = forms.IntegerField(
        label=_("GPUs per node"), min_value=-MOST, max_value=MOST, widget=forms.NumberInput(attrs={"min": 1})
    )
    nodes = forms.IntegerField(
        label=pgettext_lazy("how many", "Nodes"),
        min_value=-MOST,
        max_value=MOST,
        widget=forms.NumberInput(attrs={"min": 1}),
    )
    time_limit = forms.CharField(
        label=_("Time limit"),
        max_length=40,
        help_text=_("Such as 2h, 90m or 1:30:00. A shorter limit holds less and often starts sooner."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    script = forms.CharField(
        label=_("Script"),
        strip=False,
        widget=forms.Textarea(attrs={"class": "code", "rows": 16, "spellcheck": "false", "wrap": "off"}),
        help_text=_("The portal adds its own block below the first line; your lines stay as they are."),
    )

    def __init__(self, *args: Any, person: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.person = person
        # One that is not in the list (expired, another's) is looked up: the service says what is wrong with it.
        self.fields["allocation"].validate = lambda value: None  # type: ignore[method-assign]
        self.fields["script"].required = not self.data.get("preset")  # a preset brings its own

    def offer(self, choices: list[ProjectChoice]) -> None:
        """Fills the list of allocations; needed only where the form is shown."""
        rows = [row for choice in choices for row in choice.allocations]
        field = cast(forms.ChoiceField, self.fields["allocation"])
        field.choices = [
            ("", gettext("Choose one")),
            *((str(row.allocation.pk), allocation_label(row)) for row in rows),
        ]

    def clean_allocation(self) -> Allocation:
        value = self.cleaned_data["allocation"]
        found = allocation_chosen(self.person, int(value)) if value.isdecimal() and len(value) < 19 else None
        if found is None:
            raise forms.ValidationError(_("Choose an allocation of one of your projects."))
        return found

    def clean_time_limit(self) -> int:
        try:
            return time_limit_parse(self.cleaned_data["time_limit"])
        except DurationInvalid as error:
            raise forms.ValidationError(str(error)) from error

    def clean_script(self) -> str:
        script: str = self.cleaned_data["script"]
        # Browsers send every line end of a form as CRLF, whatever was typed; the probe says whether one did. Any other
        # CRLF is the script's own and is refused.
        probe = self.data.get("line_end", "")
        return script.replace("\r\n", "\n") if probe == PROBE.replace("\n", "\r\n") else script

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        preset = presets_here().get(data.get("preset", ""))
        if preset and data.get("script", "").strip() not in ("", preset.script.strip()):
            data["preset"] = ""  # it began as the preset and is the person's own by now
        return data

    def submission(self) -> dict[str, Any]:
        """Arguments for `job_submit`. Only of a valid form."""
        data = self.cleaned_data
        return {
            "project": data["allocation"].project,
            "allocation": data["allocation"],
            "name": data["name"],
            "gpus_per_node": data["gpus_per_node"],
            "nodes": data["nodes"],
            "time_limit_s": data["time_limit"],
            "script": data["script"],
            "preset": data["preset"],
            "form_key": data["key"],
        }

    def refuse(self, refused: JobRefused) -> None:
        """Puts what a service refused beside its fields."""
        for problem in refused.problems:
            self.add_problem(problem)

    def add_problem(self, problem: Problem) -> None:
        field = FIELD_OF.get(problem.field, problem.field)
        self.add_error(field if field in self.fields else None, str(problem))


def presets_here() -> dict[str, Preset]:
    """The presets that this form offers, by name."""
    return presets_offered(GIVES)


def allocation_label(row: AllocationRow) -> str:
    return gettext("%(project)s · %(type)s · %(free)s GPU-hours left, until %(ends)s") % {
        "project": row.allocation.project.title,
        "type": row.allocation.gpu_type.upper(),
        "free": gpu_hours_text(max(row.balance.free, 0)),
        "ends": date_format(row.allocation.ends_on, "SHORT_DATE_FORMAT"),
    }


def initial_of(*, preset: str, allocation: str, again: Job | None) -> dict[str, Any]:
    """How the form begins: as a preset, as a job that is run again, or with a skeleton."""
    begin: dict[str, Any] = {"key": uuid4(), "line_end": PROBE, "allocation": allocation}
    if again is not None:
        return begin | {
            "allocation": str(again.allocation_id),
            "name": again.name,
            "gpus_per_node": again.gpus_per_node,
            "nodes": again.nodes,
            "time_limit": duration_input(again.time_limit_s),
            "script": strip_block(again.script),
        }
    known = presets_here().get(preset)
    if known is None:
        return begin | {"name": "", "gpus_per_node": 1, "nodes": 1, "time_limit": "1h", "script": SKELETON}
    return begin | {
        "preset": known.slug,
        "name": known.slug,
        "gpus_per_node": known.gpus_per_node,
        "nodes": known.nodes,
        "time_limit": duration_input(known.time_limit_s),
        "script": known.script,
    }


def changed(data: QueryDict, fix: str) -> QueryDict:
    """The form's data with one field set as a one-click fix says ("nodes=1"), or begun anew from a preset."""
    new = data.copy()
    field, _equals, value = fix.partition("=")
    if field == "preset":
        begin = initial_of(preset=value, allocation="", again=None)
        for name in ("preset", "name", "gpus_per_node", "nodes", "time_limit", "script"):
            new[name] = str(begin.get(name, ""))
        new["line_end"] = PROBE
    elif field in ("gpus_per_node", "nodes", "time_limit"):
        new[field] = value
    return new
