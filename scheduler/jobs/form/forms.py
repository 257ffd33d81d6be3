"""The job form. What a job may be is the services' to say; this reads what was typed, and shows what can be chosen."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import copy
from typing import Any, cast
from uuid import UUID

from django import forms
from django.forms import BoundField
from django.http import QueryDict
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import AllocationRow
from quotas.clusters import cluster_titles
from quotas.units import gpu_hours_text
from scheduler.jobs.chaining import MOST_DEPENDENCIES
from scheduler.jobs.choosing import Choice, Group, choose, group_chosen, groups_offered
from scheduler.jobs.data_sets import MOST as MOST_DATA_SETS
from scheduler.jobs.durations import DurationInvalid, time_limit_parse
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.form.place_fields import PlaceFields
from scheduler.jobs.form.preset_fields import field_for, place_defaults, place_fields, place_of
from scheduler.jobs.library.selectors import preset_find
from scheduler.jobs.preflight import Problem
from scheduler.jobs.presets.definition import Preset
from scheduler.jobs.presets.render import Filled
from scheduler.jobs.script import strip_block
from scheduler.jobs.selectors import ProjectChoice, allocation_chosen

MOST = 1_000_000
PROBE = "a\nb"  # a textarea of the form: how its line end comes back tells whether a browser wrote CRLF for all of them
FIELD_OF = {"project": "allocation"}  # the form asks for both in one field
MODES = (("simple", _("Simple")), ("advanced", _("Advanced")))
# What a form that is set to simple hides, beside the preset's own advanced fields.
ADVANCED = frozenset(["conda_base", "mounts"])


class JobForm(PlaceFields, forms.Form):
    """A job, as a person describes it: the fields that all jobs have, and those of its preset."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    line_end = forms.CharField(required=False, strip=False, widget=forms.Textarea(attrs={"hidden": True}))
    preset = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    mode = forms.ChoiceField(
        label=pgettext_lazy("level of a form", "Show"),
        choices=MODES,
        required=False,
        initial="simple",
        widget=forms.RadioSelect(attrs={"class": "btn-check"}),
    )
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
    save_as = forms.CharField(
        required=False,
        max_length=60,
        label=_("Save as a preset of the project"),
        help_text=_("Its members find it where a job begins. The same name again is its next version."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    script = forms.CharField(
        label=_("Script"),
        strip=False,
        widget=forms.Textarea(attrs={"class": "code", "rows": 24, "spellcheck": "false", "wrap": "off"}),
        help_text=_("The form rewrites what stands between its two marks; all other lines are yours and stay."),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, person: User, **options: Any) -> None:
        # A QueryDict copied is one that can be changed.
        super().__init__(None if data is None else copy(data), **options)
        self.person = person
        # One that is not in the list (expired, another's) is looked up: the service says what is wrong with it.
        self.fields["allocation"].validate = lambda value: None  # type: ignore[method-assign]
        self.choice: Choice | None = None  # of an allocation, where it is left to the portal
        given = self._given()
        self.chosen: Preset | None = preset_find(given.get("preset") or "")
        given.setdefault("mode", "simple")
        if self.chosen:
            self._preset_fields(self.chosen)
        self.fields["script"].required = self.chosen is None  # a preset brings its own

    def _preset_fields(self, preset: Preset) -> None:
        defaults = {one.name: one.default for one in preset.fields}
        self.fields |= {one.name: field_for(one) for one in preset.fields}
        if preset.has_blocks:
            self.fields |= place_fields(preset)
            defaults |= place_defaults(preset)
        for name, value in defaults.items():
            self._given().setdefault(name, value)

    def _given(self) -> dict[str, Any]:
        return cast(dict[str, Any], self.data if self.is_bound else self.initial)

    def put(self, name: str, value: str) -> None:
        """Shows another value than the one that was sent."""
        self._given()[name] = value

    def offer(self, choices: list[ProjectChoice]) -> None:
        """Fills the lists; needed only where the form is shown."""
        rows = [row for choice in choices for row in choice.allocations]
        titles = cluster_titles()
        field = cast(forms.ChoiceField, self.fields["allocation"])
        field.choices = [
            ("", gettext("Choose one")),
            *((str(row.allocation.pk), allocation_label(row, titles)) for row in rows),
            *((group.key, str(group)) for choice in choices for group in groups_offered(choice)),
        ]
        self.offer_places(self.person, [row.allocation for row in rows])

    # --- reading --------------------------------------------------------------------------------------------------

    def clean_preset(self) -> str:
        slug: str = self.cleaned_data["preset"]
        if slug and self.chosen is None:
            raise forms.ValidationError(_("There is no such preset."))
        return slug

    def clean_allocation(self) -> Allocation | Group:
        value = self.cleaned_data["allocation"]
        if group := group_chosen(self.person, value):
            return group
        found = allocation_chosen(self.person, int(value)) if value.isdecimal() and len(value) < 19 else None
        if found is None:
            code = "" if value else "required"  # nothing chosen yet is nothing wrong yet
            raise forms.ValidationError(_("Choose an allocation of one of your projects."), code=code)
        return found

    def clean_time_limit(self) -> int:
        try:
            return time_limit_parse(self.cleaned_data["time_limit"])
        except DurationInvalid as error:
            raise forms.ValidationError(str(error)) from error

    def clean_script(self) -> str:
        return script_typed(self.data)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if isinstance(data.get("allocation"), Group):
            self._choose(data)
        if self.chosen and not self.chosen.has_blocks and self.is_edited:
            data["preset"] = ""  # it began as the preset and is the person's own by now
        if data.get("code") == "git" and "repository" in data and not data["repository"]:
            self.add_error("repository", forms.ValidationError(gettext("This field is needed."), code="required"))
        return data

    def _choose(self, data: dict[str, Any]) -> None:
        self.choice = choose(
            person=self.person,
            group=data.pop("allocation"),
            gpus_per_node=data.get("gpus_per_node", 0),
            nodes=data.get("nodes", 0),
            time_limit_s=data.get("time_limit", 0),
            partition=data.get("partition", ""),
            after=self._waits_for(),
            data_sets=[
                int(one) for one in self._sent("data_sets")[:MOST_DATA_SETS] if one.isdecimal() and len(one) < 19
            ],
        )
        if self.choice is None:
            self.add_error("allocation", _("This project has no allocation on which a job can run now."))
        else:
            data["allocation"] = self.choice.best.allocation

    def _waits_for(self) -> list[UUID]:
        """The jobs chosen in the form beside this one (`ChainingForm`), which says what is wrong with them."""
        with suppress(ValueError):
            return [UUID(value) for value in self._sent("after")[:MOST_DEPENDENCIES]]
        return []

    def _sent(self, name: str) -> list[str]:
        return self.data.getlist(name) if isinstance(self.data, QueryDict) else []

    @property
    def is_edited(self) -> bool:
        """Whether the person changed the lines that the preset began with. Only after reading."""
        own = strip_block(self.cleaned_data.get("script", "")).strip()
        return self.chosen is not None and own not in ("", self.chosen.start.strip())

    def filled(self) -> Filled | None:
        """The preset as it is filled in, as far as that could be read. Only after reading."""
        data = self.cleaned_data
        if self.chosen is None or not data.get("preset"):
            return None
        fields = {one.name: data.get(one.name, "") for one in self.chosen.fields}
        if not self.chosen.has_blocks:
            return Filled(self.chosen, fields)
        environment, code = place_of(data)
        default = next(one.default for one in self.chosen.fields if one.name == "workdir")
        if code.repository and fields["workdir"] == default:
            fields["workdir"] = ""  # where the code would lie without a repository
        return Filled(self.chosen, fields, environment, code)

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
            "filled": self.filled(),
            **self.place(),
            "form_key": data["key"],
            "chosen": self.choice.facts if self.choice else None,
        }

    def refuse(self, refused: JobRefused) -> None:
        """Puts what a service refused beside its fields."""
        for problem in refused.problems:
            field = FIELD_OF.get(problem.field, problem.field)
            self.add_error(field if field in self.fields else None, str(problem))

    # --- showing --------------------------------------------------------------------------------------------------

    def is_hidden_when_simple(self, name: str) -> bool:
        ours = self.chosen.fields if self.chosen else ()
        return name in ADVANCED or any(one.name == name and one.advanced for one in ours)

    def shown(self, *, advanced: bool) -> Iterator[BoundField]:
        """The preset's own fields, but for the folder of the code, which stands beside the code."""
        for one in self.chosen.fields if self.chosen else ():
            if one.advanced == advanced and one.name != "workdir":
                yield self[one.name]

    @property
    def simple_fields(self) -> list[BoundField]:
        return list(self.shown(advanced=False))

    @property
    def advanced_fields(self) -> list[BoundField]:
        return list(self.shown(advanced=True))

    @property
    def suggestions(self) -> dict[str, tuple[str, ...]]:
        """By the id of the list that a field points at."""
        ours = self.chosen.fields if self.chosen else ()
        return {f"suggested_{one.name}": one.suggestions for one in ours if one.suggestions}

    def label_of(self, problem: Problem) -> str:
        name = FIELD_OF.get(problem.field, problem.field)
        return str(self.fields[name].label) if name in self.fields else ""


def script_typed(data: Mapping[str, Any]) -> str:
    """Browsers send every line end of a form as CRLF, whatever was typed; the probe says whether one did. Any other
    CRLF is the script's own and is refused."""
    script: str = data.get("script") or ""
    return script.replace("\r\n", "\n") if data.get("line_end") == PROBE.replace("\n", "\r\n") else script


def allocation_label(row: AllocationRow, titles: Mapping[str, str]) -> str:
    """Its cluster is named where there is more than one."""
    gpu_type, cluster = row.allocation.gpu_type.upper(), row.allocation.cluster
    text = gettext("%(project)s · %(type)s · %(free)s GPU-hours left, until %(ends)s")
    if row.allocation.voucher.programme.is_sandbox:
        text = gettext("%(project)s · sandbox · %(type)s · %(free)s GPU-hours left, until %(ends)s")
    return text % {
        "project": row.allocation.project.title,
        "type": f"{gpu_type} · {titles.get(cluster, cluster)}" if len(titles) > 1 else gpu_type,
        "free": gpu_hours_text(max(row.balance.free, 0)),
        "ends": date_format(row.allocation.ends_on, "SHORT_DATE_FORMAT"),
    }
