"""A call's own questions as form fields: what an applicant fills in, and what an operator sees as the preview."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from quotas.programmes.questions import NUMBER_MOST, TEXT_LENGTH, Question, QuestionKind

ONE_LINE = 200  # characters up to which a text is asked for in one line


def answer_field(question: Question, *, required: bool | None = None) -> forms.Field:
    """The form field of a question. `required` overrules the question's own, for a draft."""
    common: dict[str, Any] = {
        "label": question.label,
        "help_text": question.help,
        "required": question.required if required is None else required,
    }
    if question.kind == QuestionKind.NUMBER:
        return forms.DecimalField(
            max_value=question.max or NUMBER_MOST, min_value=-NUMBER_MOST, decimal_places=6, **common
        )
    if question.kind == QuestionKind.CHOICE:
        choices = [(choice.value, choice.label) for choice in question.choices]
        return forms.ChoiceField(choices=[("", _("Choose")), *choices], **common)
    if question.kind == QuestionKind.FILE:
        return forms.FileField(widget=forms.FileInput(attrs={"accept": "application/pdf"}), **common)
    length = question.max or TEXT_LENGTH
    widget = forms.TextInput() if length <= ONE_LINE else forms.Textarea(attrs={"rows": 5})
    return forms.CharField(max_length=length, widget=widget, **common)


class AnswersForm(forms.Form):
    """One field a question, by its key."""

    def __init__(self, *args: Any, questions: Sequence[Question], **options: Any) -> None:
        super().__init__(*args, **options)
        for question in questions:
            self.fields[question.key] = answer_field(question)
