"""A preset's fields as fields of a form: its own, and where its programs and its code come from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from django import forms
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.presets.code import Code
from scheduler.jobs.presets.definition import Field, Preset
from scheduler.jobs.presets.environments import ENVIRONMENT_TITLES, Environment
from scheduler.jobs.presets.stored import Stored
from scheduler.jobs.presets.values import MAX_CHARACTERS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Text: TypeAlias = "str | _StrPromise"

CODES = (("path", _("A folder on the cluster")), ("git", _("A git repository")))
IMAGES = ("apptainer", "enroot")


def field_for(field: Field) -> forms.Field:
    """What a value may be is said when the script is written (presets.values); here only that one is needed."""
    common: dict[str, Any] = {
        "label": str(field.title),
        "help_text": str(field.help or ""),
        "required": field.required,
        "initial": field.default,
    }
    if field.kind == "choice":
        return forms.ChoiceField(choices=[(value, value) for value in field.choices], **common)
    attributes: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false"}
    widget: type[forms.Widget] = forms.TextInput
    if field.kind == "int":
        widget = forms.NumberInput
        attributes |= {"min": field.least, "max": field.most}
    if field.suggestions:
        attributes["list"] = f"suggested_{field.name}"
    return forms.CharField(max_length=MAX_CHARACTERS, strip=False, widget=widget(attrs=attributes), **common)


def place_fields(preset: Preset) -> dict[str, forms.Field]:
    """Environment and code."""

    def text(label: Text, help_text: Text, *, needed: bool = False) -> forms.Field:
        plain = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
        field = forms.CharField(required=needed, max_length=500, label=label, help_text=help_text, widget=plain)
        # Needed where it is seen: whether it is, another field says.
        field.validate = lambda value: None  # type: ignore[method-assign]
        return field

    def choice(label: Text, choices: Any) -> forms.Field:
        radio = forms.RadioSelect(attrs={"class": "btn-check"})
        return forms.ChoiceField(label=label, choices=choices, widget=radio)

    known = [(kind, ENVIRONMENT_TITLES[kind]) for kind in preset.environments]
    return {
        "environment": choice(_("Programs from"), known),
        "modules": text(_("Modules to load"), _("In this order, with spaces between them: cuda/12.4 openmpi/5.0")),
        "conda": text(_("conda environment"), _("Its name, or its whole path."), needed=True),
        "conda_base": text(_("Where conda lies"), _("Its whole path. Empty: it is on the PATH.")),
        "image": text(
            _("Image"),
            _("A .sif file or docker://name:tag for Apptainer; a .sqsh file or registry#name:tag for Enroot."),
            needed=True,
        ),
        "mounts": forms.CharField(
            required=False,
            max_length=10_000,
            label=_("Data in the image, read-only"),
            help_text=_("Whole paths, one on a line: data sets, for instance."),
            widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        ),
        "code": choice(_("Code from"), CODES),
        "repository": text(
            _("Repository"),
            _("https://host/path, or git@host:path with your own key. Fetched when the job begins."),
            needed=True,
        ),
        "revision": text(_("Branch, tag or commit"), _("Empty: the repository's default branch.")),
    }


def place_defaults(preset: Preset) -> dict[str, str]:
    return {"environment": preset.environments[0], "code": "path"}


def place_of(data: Mapping[str, Any]) -> tuple[Environment, Code]:
    """From what was typed. What belongs to another choice is left where it is and not used."""
    kind = data.get("environment") or "system"
    environment = Environment(
        kind,
        modules=tuple(data.get("modules", "").split()) if kind != "system" else (),
        conda=data.get("conda", "") if kind == "conda" else "",
        conda_base=data.get("conda_base", "") if kind == "conda" else "",
        image=data.get("image", "") if kind in IMAGES else "",
        mounts=tuple(filter(None, data.get("mounts", "").splitlines())) if kind in IMAGES else (),
    )
    if data.get("code") != "git":
        return environment, Code()
    return environment, Code(data.get("repository", ""), data.get("revision", ""))


def place_typed(stored: Stored) -> dict[str, str]:
    """The same way back: as the form would be filled in."""
    environment, code = stored.environment, stored.code
    return {
        "environment": environment.get("kind", "system"),
        "modules": " ".join(environment.get("modules", ())),
        "conda": environment.get("conda", ""),
        "conda_base": environment.get("conda_base", ""),
        "image": environment.get("image", ""),
        "mounts": "\n".join(environment.get("mounts", ())),
        "code": "git" if code.get("repository") else "path",
        "repository": code.get("repository", ""),
        "revision": code.get("revision", ""),
    }
