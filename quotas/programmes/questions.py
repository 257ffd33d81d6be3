"""A call's own questions: a flat ordered list of four kinds, no conditions. As JSON in a `QuestionSet`, as values here.

{"key", "label_vi", "label_en", "kind": text|number|choice|file, "required", "help_vi", "help_en",
 "choices": [{"value", "label_vi", "label_en"}], "max"}

max is the most characters of a text, or the largest number; null where there is none. Other kinds have none.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from quotas.programmes.errors import Invalid
from quotas.programmes.models import QuestionSet, in_language
from quotas.texts import is_plain_text

QUESTIONS_MOST = 60
CHOICES_MOST = 40
LABEL_LENGTH = 300
HELP_LENGTH = 1_000
TEXT_LENGTH = 10_000  # characters of an answer where the question says nothing
NUMBER_MOST = 10**15
KEY_FORM = r"[a-z][a-z0-9_]{0,39}"


class QuestionKind(models.TextChoices):
    TEXT = "text", gettext_lazy("Text")
    NUMBER = "number", gettext_lazy("Numeric")
    CHOICE = "choice", gettext_lazy("Choice")
    FILE = "file", gettext_lazy("File")


@dataclass(frozen=True)
class Choice:
    value: str
    label_vi: str
    label_en: str

    @property
    def label(self) -> str:
        return in_language(self.label_vi, self.label_en)


@dataclass(frozen=True)
class Question:
    key: str
    label_vi: str
    label_en: str
    kind: str
    required: bool = True
    help_vi: str = ""
    help_en: str = ""
    choices: list[Choice] = field(default_factory=list)
    max: int | None = None

    @property
    def label(self) -> str:
        return in_language(self.label_vi, self.label_en)

    @property
    def help(self) -> str:
        return in_language(self.help_vi, self.help_en)


def questions_of(question_set: QuestionSet) -> list[Question]:
    """The questions of a version, in order."""
    return [question_from(one) for one in question_set.questions]


def question_from(given: Mapping[str, Any]) -> Question:
    """A question as it is stored, as a value."""
    return Question(**{**given, "choices": [Choice(**choice) for choice in given["choices"]]})


def questions_checked(questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The questions as they are stored: every field there, texts trimmed. Raises Invalid with the position (from 0) of
    the question and the field that is wrong.
    """
    if len(questions) > QUESTIONS_MOST:
        raise Invalid(_("A call has at most %(most)d questions of its own.") % {"most": QUESTIONS_MOST})
    checked: list[dict[str, Any]] = []
    for position, given in enumerate(questions):
        one = question_checked(given, position)
        if any(one["key"] == other["key"] for other in checked):
            raise Invalid(_("Two questions have the same key."), field="key", position=position)
        checked.append(one)
    return checked


def question_checked(given: Mapping[str, Any], position: int = 0) -> dict[str, Any]:
    """One question as it is stored. Raises Invalid."""

    def refuse(message: str, field: str) -> Invalid:
        return Invalid(message, field=field, position=position)

    one: dict[str, Any] = {
        "key": str(given.get("key", "")),
        "label_vi": str(given.get("label_vi", "")).strip(),
        "label_en": str(given.get("label_en", "")).strip(),
        "kind": given.get("kind"),
        "required": bool(given.get("required", True)),
        "help_vi": str(given.get("help_vi", "")).strip(),
        "help_en": str(given.get("help_en", "")).strip(),
        "choices": [],
        "max": given.get("max"),
    }
    if not re.fullmatch(KEY_FORM, one["key"]):
        raise refuse(_("A key begins with a letter and has small letters, digits and underscores only."), "key")
    if one["kind"] not in QuestionKind.values:
        raise refuse(_("Choose the kind of answer."), "kind")
    for name in ("label_vi", "label_en"):
        if not one[name] or len(one[name]) > LABEL_LENGTH or not is_plain_text(one[name]):
            raise refuse(
                _("Write the question in both languages, in at most %(most)d characters.") % {"most": LABEL_LENGTH},
                name,
            )
    for name in ("help_vi", "help_en"):
        if len(one[name]) > HELP_LENGTH or not is_plain_text(one[name]):
            raise refuse(_("Use at most %(most)d characters.") % {"most": HELP_LENGTH}, name)
    if one["kind"] == QuestionKind.CHOICE:
        one["choices"] = _choices_checked(given.get("choices") or [], refuse)
    one["max"] = _max_checked(one, refuse)
    return one


def _choices_checked(given: Sequence[Mapping[str, Any]], refuse: Any) -> list[dict[str, str]]:
    choices = [
        {
            "value": str(choice.get("value") or number),
            "label_vi": str(choice.get("label_vi", "")).strip(),
            "label_en": str(choice.get("label_en", "")).strip(),
        }
        for number, choice in enumerate(given, start=1)
    ]
    if not 2 <= len(choices) <= CHOICES_MOST:
        raise refuse(_("Give 2 to %(most)d choices.") % {"most": CHOICES_MOST}, "choices")
    labels = [choice[name] for choice in choices for name in ("label_vi", "label_en")]
    if not all(0 < len(label) <= LABEL_LENGTH and is_plain_text(label) for label in labels):
        raise refuse(_("Write every choice in both languages."), "choices")
    if len({choice["value"] for choice in choices}) < len(choices):
        raise refuse(_("Two choices have the same value."), "choices")
    return choices


def _max_checked(one: Mapping[str, Any], refuse: Any) -> int | None:
    most = {QuestionKind.TEXT: TEXT_LENGTH, QuestionKind.NUMBER: NUMBER_MOST}.get(one["kind"])
    if most is None or one["max"] in (None, ""):
        return None
    if type(one["max"]) is not int or not 1 <= one["max"] <= most:
        raise refuse(_("Use a whole number from 1 to %(most)s.") % {"most": f"{most:,}"}, "max")
    return one["max"]
