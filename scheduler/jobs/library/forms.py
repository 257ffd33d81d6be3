"""A preset as an operator fills it in. Forms read what was typed; what a preset may be, its definition says."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from scheduler.jobs.durations import DurationInvalid, duration_input, time_limit_parse
from scheduler.jobs.library.checking import SHAPES
from scheduler.jobs.library.models import REASON_LENGTH
from scheduler.jobs.presets.definition import ENVIRONMENTS, FIELDS_MOST, KINDS, LANGUAGES, LAUNCHERS, SCRIPT_MOST_BYTES
from scheduler.jobs.presets.environments import ENVIRONMENT_TITLES
from scheduler.jobs.presets.figures import MOST_CHARACTERS

FILE_MOST_BYTES = 262_144
KIND_TITLES = {
    "int": _("Whole number"),
    "number": _("Number"),
    "choice": _("One of several"),
    "name": _("Name"),
    "names": _("Names with commas"),
    "path": _("Path"),
    "hub": _("Model or data set of Hugging Face"),
    "text": _("Any line"),
    "words": _("Words as in a shell"),
}
LAUNCHER_TITLES = {
    "none": _("None: a plain script"),
    "torchrun": _("torchrun on each node"),
    "accelerate": _("Accelerate on each node"),
    "task": _("One task on each node"),
    "srun": _("One task for each GPU"),
}
WHOLE = ("position", "gpus_per_node", "nodes", "nodes_most")


def _plain(**attributes: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", **attributes})


def _line(label: Any, help_text: Any = "", *, required: bool = False, **attributes: Any) -> forms.CharField:
    return forms.CharField(
        label=label, help_text=help_text, required=required, max_length=MOST_CHARACTERS, widget=_plain(**attributes)
    )


def _lines(label: Any, help_text: Any = "") -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
    return forms.CharField(label=label, help_text=help_text, required=False, max_length=20_000, widget=widget)


class WhyForm(forms.Form):
    """Why something is done; who confirms it says so. `seen`: the number of the last decision that was shown."""

    seen = forms.IntegerField(min_value=0, max_value=10**9, widget=forms.HiddenInput)
    why = forms.CharField(
        label=_("Why"),
        max_length=REASON_LENGTH,
        help_text=_("It stands in the history, beside your name."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class PreviewForm(forms.Form):
    """For which shape and environment a script is shown."""

    shape = forms.ChoiceField(label=_("Nodes × GPUs"), choices=[(f"{n}x{g}", f"{n} × {g}") for n, g in SHAPES])
    place = forms.ChoiceField(
        label=_("Programs from"), choices=[(kind, ENVIRONMENT_TITLES[kind]) for kind in ENVIRONMENTS]
    )

    def chosen(self) -> tuple[int, int, str]:
        """Nodes, GPUs per node, environment; the first of each unless another was chosen."""
        self.full_clean()
        data = getattr(self, "cleaned_data", {})
        nodes, gpus = (data.get("shape") or "1x1").split("x")
        return int(nodes), int(gpus), data.get("place") or ENVIRONMENTS[0]


class PresetForm(forms.Form):
    """All but the fields of a preset."""

    slug = forms.CharField(
        label=_("Short name"),
        max_length=30,
        help_text=_("Part of addresses, and of what programs say to the API. It never changes."),
        widget=_plain(),
    )
    title_vi = _line(_("Title in Vietnamese"), required=True)
    title_en = _line(_("Title in English"), required=True)
    description_vi = _line(_("Description in Vietnamese"), required=True)
    description_en = _line(_("Description in English"), required=True)
    position = forms.IntegerField(
        label=_("Place in the list"), min_value=0, max_value=10_000, help_text=_("Smaller numbers stand further left.")
    )
    nodes = forms.IntegerField(label=pgettext_lazy("how many", "Nodes"), min_value=1, max_value=100_000)
    gpus_per_node = forms.IntegerField(label=_("GPUs per node"), min_value=1, max_value=100_000)
    time_limit = forms.CharField(label=_("Time limit"), max_length=40, widget=_plain())
    nodes_most = forms.IntegerField(
        label=_("Nodes at most"), required=False, min_value=0, max_value=100_000, help_text=_("Empty: any number.")
    )
    checkpoint_lead = forms.CharField(
        label=_("Told before its time limit"),
        required=False,
        max_length=40,
        help_text=_("How long before, such as 5m, for programs that save their state. It then has the field restarts."),
        widget=_plain(),
    )
    launcher = forms.ChoiceField(
        label=_("Started by"), choices=[(name, LAUNCHER_TITLES[name]) for name in LAUNCHERS], initial="torchrun"
    )
    environments = forms.MultipleChoiceField(
        label=_("Programs from"),
        choices=[(kind, ENVIRONMENT_TITLES[kind]) for kind in ENVIRONMENTS],
        widget=forms.CheckboxSelectMultiple,
    )
    parallel = _line(
        _("Fields that share out the GPUs"),
        _("Names with commas: the product of what is filled in must divide the number of GPUs."),
    )
    results = _lines(
        _("Results"),
        _("One on a line: path; title in Vietnamese; title in English. * stands for any letters."),
    )
    script = forms.CharField(
        label=_("Script"),
        strip=False,
        max_length=SCRIPT_MOST_BYTES,
        widget=forms.Textarea(attrs={"class": "code", "rows": 24, "spellcheck": "false", "wrap": "off"}),
    )
    why = forms.CharField(
        label=_("What is new in this version"),
        max_length=REASON_LENGTH,
        help_text=_("It stands in the history, beside your name."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, is_new: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        if not is_new:
            del self.fields["slug"]

    def clean_time_limit(self) -> int:
        return _seconds(self.cleaned_data["time_limit"])

    def clean_checkpoint_lead(self) -> int:
        written = self.cleaned_data["checkpoint_lead"]
        return _seconds(written) if written else 0

    def figures(self) -> dict[str, Any]:
        """Of a valid form, as a file says them."""
        data = self.cleaned_data
        return {
            **{name: data[name] or 0 for name in WHOLE},
            "time_limit_s": data["time_limit"],
            "checkpoint_lead_s": data["checkpoint_lead"],
            "environments": data["environments"],
            "launcher": data["launcher"],
            "parallel": [name.strip() for name in data["parallel"].split(",") if name.strip()],
            "title": _texts_of(data, "title"),
            "description": _texts_of(data, "description"),
            "results": [_result(line) for line in _entries(data["results"])],
        }


class FieldForm(forms.Form):
    """One field of a preset."""

    name = _line(
        _("Name"), _("In the script: name=@{name}. Small letters, digits and “_”."), required=True, maxlength=40
    )
    kind = forms.ChoiceField(label=_("Takes"), choices=[(kind, KIND_TITLES[kind]) for kind in KINDS])
    title_vi = _line(_("Title in Vietnamese"), required=True)
    title_en = _line(_("Title in English"), required=True)
    help_vi = _line(_("Help in Vietnamese"))
    help_en = _line(_("Help in English"))
    default = _line(_("Default"))
    least = forms.FloatField(label=_("At least"), required=False)
    most = forms.FloatField(label=_("At most"), required=False)
    choices = _lines(_("Choices"), _("One on a line."))
    suggestions = _lines(_("Suggestions"), _("One on a line."))
    required = forms.BooleanField(label=_("Must be filled in"), required=False)
    advanced = forms.BooleanField(label=_("Only in the advanced form"), required=False)

    def figures(self) -> dict[str, Any]:
        data = self.cleaned_data
        said = {
            "name": data["name"],
            "kind": data["kind"],
            "required": data["required"],
            "advanced": data["advanced"],
            "default": data["default"],
            "least": _number(data["least"]),
            "most": _number(data["most"]),
            "choices": _entries(data["choices"]),
            "suggestions": _entries(data["suggestions"]),
            "title": _texts_of(data, "title"),
            "help": _texts_of(data, "help"),
        }
        bounds = ("least", "most") if data["kind"] in ("int", "number") else ()
        kept = {name: value for name, value in said.items() if value or (name in bounds and value is not None)}
        return {name: value for name, value in kept.items() if name not in ("least", "most") or name in bounds}

    @property
    def shown_name(self) -> str:
        return str(self["name"].value() or "")


FieldSet: TypeAlias = "BaseFormSet[FieldForm]"
FieldForms = formset_factory(FieldForm, extra=0, max_num=FIELDS_MOST, absolute_max=FIELDS_MOST, validate_max=True)
PREFIX = "fields"


class ImportForm(forms.Form):
    """The two files of a preset, as this page hands them out and as they lie in a repository."""

    definition = forms.FileField(label=_("NAME.toml"), widget=forms.FileInput(attrs={"accept": ".toml"}))
    script = forms.FileField(label=_("NAME.sh"), widget=forms.FileInput(attrs={"accept": ".sh"}))
    slug = forms.CharField(
        label=_("Short name"),
        max_length=30,
        required=False,
        help_text=_("Empty: as the file is called. One that is there gets a new version."),
        widget=_plain(),
    )
    why = forms.CharField(
        label=_("What is new in this version"), max_length=REASON_LENGTH, widget=forms.Textarea(attrs={"rows": 2})
    )

    def clean_definition(self) -> str:
        return self._text("definition")

    def clean_script(self) -> str:
        return self._text("script")

    def _text(self, name: str) -> str:
        file = self.cleaned_data[name]
        if file.size > FILE_MOST_BYTES:
            raise forms.ValidationError(_("The file has more than %(most)d KiB.") % {"most": FILE_MOST_BYTES // 1024})
        try:
            text: str = file.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise forms.ValidationError(_("The file is no text in UTF-8.")) from error
        if "\0" in text:
            raise forms.ValidationError(_("The file is no text in UTF-8."))
        return text.replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "definition" in data and not data.get("slug"):
            name = getattr(self.files["definition"], "name", "")
            data["slug"] = name.removesuffix(".toml")[:30]
        return data


# ---- a file's figures as a form is filled in, and what was sent as one that is filled in


def preset_initial(figures: Mapping[str, Any], script: str) -> dict[str, Any]:
    """Of figures as a file says them; they need not hold together."""
    title, description = figures.get("title", {}), figures.get("description", {})
    lead_s = figures.get("checkpoint_lead_s", 0)
    return {
        **{name: figures.get(name) for name in WHOLE},
        "nodes_most": figures.get("nodes_most") or None,
        "time_limit": duration_input(figures.get("time_limit_s", 3600)),
        "checkpoint_lead": duration_input(lead_s) if lead_s else "",
        "launcher": figures.get("launcher", "none"),
        "environments": figures.get("environments", ["system"]),
        "parallel": ", ".join(figures.get("parallel", [])),
        "script": script,
        "results": "\n".join(map(_result_line, figures.get("results", []))),
        **{f"title_{language}": title.get(language, "") for language in LANGUAGES},
        **{f"description_{language}": description.get(language, "") for language in LANGUAGES},
    }


def field_initial(entry: Mapping[str, Any]) -> dict[str, Any]:
    title, helped = entry.get("title", {}), entry.get("help", {})
    return {
        **{name: entry.get(name) for name in ("name", "kind", "default", "least", "most", "required", "advanced")},
        "choices": "\n".join(entry.get("choices", [])),
        "suggestions": "\n".join(entry.get("suggestions", [])),
        **{f"title_{language}": title.get(language, "") for language in LANGUAGES},
        **{f"help_{language}": helped.get(language, "") for language in LANGUAGES},
    }


def sent_fields(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of fields that a browser sent, as they were typed."""
    try:
        count = min(int(data.get(f"{PREFIX}-TOTAL_FORMS") or 0), FIELDS_MOST)
    except ValueError:
        count = 0
    return [
        {name: data.get(f"{PREFIX}-{number}-{name}", "") for name in FieldForm.base_fields} for number in range(count)
    ]


def rearranged(rows: list[dict[str, Any]], asked: str, common: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows after one click: `add=NAME` (a field that several presets have, or an empty one), `remove=3`, `up=3`,
    `down=3`; anything else changes nothing."""
    verb, _equals, value = asked.partition("=")
    if verb == "add":
        return [*rows, field_initial(common.get(value, {"kind": "text"}))] if len(rows) < FIELDS_MOST else rows
    place = int(value) if value.isascii() and value.isdecimal() and len(value) < 4 else -1
    if not 0 <= place < len(rows):
        return rows
    if verb == "remove":
        return rows[:place] + rows[place + 1 :]
    other = place + {"up": -1, "down": 1}.get(verb, 0)
    if 0 <= other < len(rows):
        rows = list(rows)
        rows[place], rows[other] = rows[other], rows[place]
    return rows


def _texts_of(data: Mapping[str, Any], name: str) -> dict[str, str]:
    found = {language: data[f"{name}_{language}"] for language in LANGUAGES}
    return found if any(found.values()) else {}


def _entries(text: str) -> list[str]:
    return list(filter(None, (line.strip() for line in text.splitlines())))


def _result(line: str) -> dict[str, Any]:
    path, vietnamese, english = (*(part.strip() for part in line.split(";", 2)), "", "")[:3]
    return {"path": path, "title": {"en": english, "vi": vietnamese}}


def _result_line(entry: Mapping[str, Any]) -> str:
    title = entry.get("title", {})
    return f"{entry.get('path', '')}; {title.get('vi', '')}; {title.get('en', '')}"


def _number(value: float | None) -> float | None:
    return int(value) if value is not None and value.is_integer() else value


def _seconds(written: str) -> int:
    try:
        return time_limit_parse(written)
    except DurationInvalid as error:
        raise forms.ValidationError(str(error)) from error
