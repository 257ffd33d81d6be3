"""Forms read what was typed. What a text may be is `values.py`'s to say, and the services' whether it is written."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.files.forms import PdfField
from portal.people.models import Organisation, User
from quotas.applications.fields import YES_NO, Field, Kind
from quotas.applications.models import Answer, Application, Attachment, Comment
from quotas.applications.risk import Tier
from quotas.applications.selectors import (
    Filters,
    calls_applied_to,
    calls_to_apply_to,
    organisations_that_can_apply,
    people_to_name,
)
from quotas.applications.values import text_of
from quotas.programmes.models import Call

# What the estimator's address carries, and an application has a field for.
ESTIMATED = ("gpu_type", "gpu_hours", "parameters", "tokens", "precision")


@dataclass(frozen=True)
class Stamp:
    """What a field's box was made from: the version of the answer, and a digest of its text."""

    version: int
    digest: str

    @classmethod
    def of(cls, answer: Answer | None, text: str) -> "Stamp":
        return cls(answer.version if answer else 0, _digest(text))

    @classmethod
    def read(cls, written: str) -> "Stamp":
        version, _dot, digest = written.partition(".")
        return cls(int(version) if version.isdecimal() and len(version) < 10 else 0, digest)

    def is_untouched(self, text: str) -> bool:
        """Whether the person left the text as the page showed it."""
        return self.digest == _digest(text)

    def __str__(self) -> str:
        return f"{self.version}.{self.digest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.replace("\r\n", "\n").strip().encode()).hexdigest()[:16]


@dataclass
class Row:
    """One field of a form, with what is said beside it."""

    field: Field
    bound: forms.BoundField
    answer: Answer | None
    stamp: str
    error: str = ""
    theirs: str = ""  # in a conflict: what another person wrote meanwhile
    mine: str = ""
    seen: str = ""  # which two texts a conflict shows
    is_conflict: bool = False
    saved_at: datetime | None = None
    comments: list[Comment] = dataclass_field(default_factory=list)


class SectionForm(forms.Form):
    """Some fields of an application as boxes of text; nothing is checked here."""

    def __init__(self, data: QueryDict | None, *, fields: Sequence[Field], answers: Mapping[str, Answer]) -> None:
        texts = {one.key: text_of(one, answers[one.key].value if one.key in answers else None) for one in fields}
        super().__init__(data, initial=texts)
        self.typed = [one for one in fields if one.kind != Kind.FILE]
        for one in self.typed:
            self.fields[one.key] = _form_field(one)
        self.answers = answers

    def texts(self) -> dict[str, str]:
        """What was sent, by key; a field that was not sent is not there."""
        return {one.key: str(self.data[one.key]) for one in self.typed if one.key in self.data}

    def stamp(self, key: str) -> Stamp:
        return Stamp.read(str(self.data.get(f"stamp-{key}", "")))

    def seen(self, key: str) -> str:
        return str(self.data.get(f"seen-{key}", ""))

    def row(self, one: Field, **said: Any) -> Row:
        answer = self.answers.get(one.key)
        text = text_of(one, answer.value if answer else None)
        return Row(one, self[one.key], answer, **{"stamp": str(Stamp.of(answer, text)), **said})


def _form_field(one: Field) -> forms.Field:
    options: dict[str, Any] = {"label": one.label, "help_text": one.help, "required": False}
    if one.kind == Kind.CHOICE:
        if one.choices == YES_NO:
            return forms.ChoiceField(choices=one.choices, widget=forms.RadioSelect, **options)
        return forms.ChoiceField(choices=(("", gettext("Choose one")), *one.choices), **options)
    if one.kind == Kind.TEXT:
        widget: forms.Widget = forms.Textarea(attrs={"rows": 8 if (one.most or 0) > 2_000 else 4})
    elif one.kind == Kind.DAY:
        widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    else:
        widget = forms.TextInput(attrs={"autocomplete": "off"})
    return forms.CharField(widget=widget, **options)


class BeginForm(forms.Form):
    """For whom, and to which call. What came from the estimator travels along in hidden boxes."""

    organisation = forms.ModelChoiceField(Organisation.objects.none(), label=_("Organisation"), empty_label=None)
    call = forms.ModelChoiceField(
        Call.objects.none(),
        label=_("Call"),
        empty_label=None,
        to_field_name="slug",
        # It closed while the form was open.
        error_messages={"invalid_choice": _("This call is not open: no application can be begun now.")},
    )

    def __init__(self, *args: Any, person: User, at: datetime, **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["organisation"]).queryset = organisations_that_can_apply(person)
        call = cast(forms.ModelChoiceField, self.fields["call"])
        call.queryset = calls_to_apply_to(at)
        call.label_from_instance = _call_label  # type: ignore[method-assign, assignment]


def _call_label(call: Call) -> str:
    return f"{call.programme} · {call.title}"


class EstimateForm(forms.Form):
    """What another page computed: texts for fields of an application."""

    def __init__(self, data: QueryDict) -> None:
        super().__init__(data)
        for name in ESTIMATED:
            self.fields[name] = forms.CharField(required=False, max_length=60, widget=forms.HiddenInput)

    def texts(self) -> dict[str, str]:
        return {name: text for name in ESTIMATED if (text := str(self.data.get(name, "")).strip()[:60])}


class FilterForm(forms.Form):
    q = forms.CharField(label=_("Title, organisation or number"), required=False, max_length=100)
    state = forms.ChoiceField(label=_("State"), required=False)
    call = forms.ModelChoiceField(
        Call.objects.none(), label=_("Call"), required=False, empty_label=_("All"), to_field_name="slug"
    )
    sector = forms.ChoiceField(label=_("Sector"), required=False)
    risk = forms.ChoiceField(label=_("Risk tier"), required=False)
    order = forms.ChoiceField(
        label=_("Order"),
        required=False,
        choices=[
            ("", _("Newest first")),
            ("oldest", _("Oldest first")),
            ("title", _("Title")),
            ("organisation", _("Organisation")),
            ("hours", _("Most GPU-hours first")),
            ("state", _("State")),
        ],
    )

    def __init__(self, *args: Any, person: User, sectors: Sequence[tuple[str, Any]], **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["call"]).queryset = calls_applied_to(person)
        for name, choices in (("state", Application.State.choices), ("sector", sectors), ("risk", Tier.choices)):
            cast(forms.ChoiceField, self.fields[name]).choices = [("", _("All")), *choices]

    def filters(self) -> Filters:
        """A filter with a mistake filters nothing."""
        self.is_valid()
        data = getattr(self, "cleaned_data", {})
        call = data.get("call")
        return Filters(
            state=data.get("state", ""),
            call=call.slug if call else "",
            sector=data.get("sector", ""),
            risk=data.get("risk", ""),
            query=data.get("q", ""),
            order=data.get("order", ""),
        )


class AttachmentForm(forms.Form):
    file = PdfField(label=_("PDF file"))


class AnswerFileForm(forms.Form):
    """The file that answers a question of the call; it sends itself."""

    def __init__(
        self,
        data: QueryDict | None = None,
        files: Any = None,
        *,
        field: Field,
        current: Attachment | None = None,
    ) -> None:
        super().__init__(data, files, initial={"file": current.file if current else None})
        self.fields["file"] = PdfField(label=field.label, required=False)
        if not field.required:
            self.fields["file"].widget.removes_at_once = True
        if field.help:
            self.fields["file"].help_text = f"{field.help} {self.fields['file'].help_text}"
        self.auto_id = f"id_{field.key}_%s"


class WriterForm(forms.Form):
    user = forms.ModelChoiceField(User.objects.none(), label=_("Member"), empty_label=_("Choose one"))

    def __init__(self, *args: Any, application: Application, **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["user"]).queryset = people_to_name(application)


class ReturnForm(forms.Form):
    """A comment beside any field, and what is to be changed as a whole."""

    reason = forms.CharField(
        label=_("What is to be changed"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The applicant reads it in a mail, with the comments."),
    )

    def __init__(self, *args: Any, keys: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.keys = keys
        for key in keys:
            self.fields[f"comment-{key}"] = forms.CharField(
                label=_("Comment"), required=False, max_length=4_000, widget=forms.Textarea(attrs={"rows": 2})
            )

    def comments(self) -> dict[str, str]:
        return {key: self.cleaned_data.get(f"comment-{key}", "") for key in self.keys}

    def beside(self, key: str) -> forms.BoundField:
        return self[f"comment-{key}"]
