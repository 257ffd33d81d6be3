"""The fields of every application, and a call's own questions as fields like them: one list, in sections, in order.

What a field's text may be is in `values.py`; what an application as a whole must say is in `checks.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from quotas.applications.models import Application
from quotas.applications.risk import RISK_FIELDS
from quotas.programmes.questions import TEXT_LENGTH, Question, QuestionKind, questions_of

Text = str | Promise
Answers = Mapping[str, Any]  # values by key

OWN = "q."  # before the key of a call's own question
GPU_HOURS_MAX = 100_000_000  # three times what Llama 3 took: a slip of the keyboard, not a plan
PARAMETERS_MAX = 10**14
TOKENS_MAX = 10**16
YES_NO = (("yes", _("Yes")), ("no", _("No")))


class Kind(StrEnum):
    NAME = "name"  # one line that reaches accounts and files, so it is kept plain
    LINE = "line"
    TEXT = "text"
    NUMBER = "number"
    CHOICE = "choice"
    DAY = "day"
    FILE = "file"


@dataclass(frozen=True)
class Section:
    slug: str
    label: Text
    lead: Text = ""


@dataclass(frozen=True)
class Field:
    """`most`: characters of a text, or the largest number. `least`: the smallest number."""

    key: str
    section: str
    label: Text
    kind: Kind
    help: Text = ""
    required: bool = True
    choices: tuple[tuple[str, Text], ...] = ()
    most: int | None = None
    least: int = 0
    is_basic: bool = False  # asked for without a call, too

    def shown(self, value: Any) -> Text:
        """A choice as its words; other values as they are."""
        return dict(self.choices).get(value, value) if self.kind == Kind.CHOICE else value


PROJECT, MODEL, RISK, OPENNESS, QUESTIONS, ATTACHMENTS, REQUEST, REVIEW = (
    "project",
    "model",
    "risk",
    "openness",
    "questions",
    "attachments",
    "request",
    "review",
)
SECTIONS = {
    section.slug: section
    for section in (
        Section(PROJECT, _("Organisation and project"), _("Who applies, and what is built.")),
        Section(MODEL, _("Model and data"), _("What is trained, from what, on which data.")),
        Section(
            RISK,
            _("Risk"),
            _("The questions lead to a risk tier after the EU AI Act. Vietnam's policy sandbox uses the same tiers."),
        ),
        Section(
            OPENNESS,
            _("Openness"),
            _("Three commitments. They are scored, shown to the public, and checked when the voucher is closed."),
        ),
        Section(QUESTIONS, _("Questions of this call")),
        Section(ATTACHMENTS, _("Attachments"), _("PDF files that belong to the application.")),
        Section(REQUEST, _("The request"), _("GPU type, GPU-hours, and the days on which they are used.")),
        Section(REVIEW, _("Check and submit")),
    )
}

SECTORS = (
    ("health", _("Health")),
    ("smart_cities", _("Smart cities")),
    ("environment", _("Environment")),
    ("finance", _("Finance")),
    ("education", _("Education")),
    ("other", _("Another sector")),
)
_PRODUCTS = (
    ("language_model", _("Vietnamese language model")),
    ("assistant", _("Virtual assistant")),
    ("vertical", _("Specialised (vertical) AI")),
    ("analytical", _("Analytical AI")),
    ("other", _("Another product")),
)
_LICENCES = (
    ("own", _("None: trained from scratch")),
    ("apache-2.0", "Apache 2.0"),
    ("mit", "MIT"),
    ("llama", _("Llama community licence")),
    ("gemma", _("Gemma terms of use")),
    ("cc-by", "CC BY"),
    ("cc-by-nc", _("CC BY-NC (not for business)")),
    ("other", _("Another licence")),
)
_PRECISIONS = tuple((name, name.upper()) for name in ("fp8", "bf16", "fp16", "tf32", "fp32"))

COMMON = (
    Field(
        "project_title",
        PROJECT,
        _("Project title"),
        Kind.NAME,
        _("One line that says what you build. The project keeps this name if the application is awarded."),
        most=200,
        is_basic=True,
    ),
    Field(
        "purpose",
        PROJECT,
        _("Purpose"),
        Kind.TEXT,
        _("What is trained, on which data, who uses it, and what will be published."),
        most=10_000,
        is_basic=True,
    ),
    Field("sector", PROJECT, _("Sector"), Kind.CHOICE, choices=SECTORS),
    Field("product_group", PROJECT, _("Product group"), Kind.CHOICE, choices=_PRODUCTS),
    Field(
        "base_model",
        MODEL,
        _("Base model"),
        Kind.LINE,
        _("The model you begin with, such as Llama 3.1 8B or Qwen2.5 7B; leave it empty if you train from scratch."),
        required=False,
        most=200,
    ),
    Field("base_model_licence", MODEL, _("Licence of the base model"), Kind.CHOICE, choices=_LICENCES),
    Field(
        "parameters",
        MODEL,
        _("Parameters"),
        Kind.NUMBER,
        _("As you would say it: 7B, 30 billion, 405e9."),
        least=1,
        most=PARAMETERS_MAX,
    ),
    Field(
        "tokens",
        MODEL,
        _("Tokens"),
        Kind.NUMBER,
        _("All that are trained on, every epoch counted: 50B, 15.6T."),
        least=1,
        most=TOKENS_MAX,
    ),
    Field("precision", MODEL, _("Precision"), Kind.CHOICE, choices=_PRECISIONS),
    Field(
        "data_sets",
        MODEL,
        _("Data sets"),
        Kind.TEXT,
        _("One a line: name, size, licence, and whether it holds personal data."),
        most=10_000,
    ),
    *(
        Field(one.key, RISK, one.label, Kind.CHOICE, one.help, required=one.required, choices=one.choices or YES_NO)
        for one in RISK_FIELDS
    ),
    Field(
        "open_use",
        OPENNESS,
        _("Free use"),
        Kind.CHOICE,
        _("The model can be used by everybody, free of charge."),
        choices=YES_NO,
    ),
    Field(
        "open_methods",
        OPENNESS,
        _("Methods published"),
        Kind.CHOICE,
        _("How it was trained and evaluated is published, with the code."),
        choices=YES_NO,
    ),
    Field(
        "open_data",
        OPENNESS,
        _("Training data under a free licence"),
        Kind.CHOICE,
        _("The data is published under a licence that permits training with it again."),
        choices=YES_NO,
    ),
    Field(
        "open_plan",
        OPENNESS,
        _("Where and when it is published"),
        Kind.TEXT,
        _("Places, licences and dates; or why something cannot be published."),
        required=False,
        most=4_000,
    ),
    Field("gpu_type", REQUEST, _("GPU type"), Kind.CHOICE, is_basic=True),
    Field(
        "gpu_hours",
        REQUEST,
        _("GPU-hours asked for"),
        Kind.NUMBER,
        _("Hours × GPUs: 8 GPUs for 12 hours are 96 GPU-hours."),
        least=1,
        most=GPU_HOURS_MAX,
        is_basic=True,
    ),
    Field("starts_on", REQUEST, _("From"), Kind.DAY, is_basic=True),
    Field("ends_on", REQUEST, _("To"), Kind.DAY, is_basic=True),
)
OPENNESS_KEYS = ("open_use", "open_methods", "open_data")
COLUMNS = ("project_title", "purpose", "gpu_type", "gpu_hours", "starts_on", "ends_on", "sector", "product_group")
_KINDS = {
    QuestionKind.TEXT: Kind.TEXT,
    QuestionKind.NUMBER: Kind.NUMBER,
    QuestionKind.CHOICE: Kind.CHOICE,
    QuestionKind.FILE: Kind.FILE,
}


def fields_of(application: Application, gpu_types: list[str] | None = None) -> dict[str, Field]:
    """All fields of an application by key, in order. `gpu_types`: what the programme has, where it is known already."""
    if gpu_types is None:
        gpu_types = list(application.programme.pools.values_list("gpu_type", flat=True))
    own = [_own(question) for question in questions_of(application.question_set)] if application.question_set else []
    fields: dict[str, Field] = {}
    for section in SECTIONS:
        for field in (*COMMON, *own):
            if field.section == section:
                fields[field.key] = field
    known = fields["gpu_type"]
    choices = tuple((name, name.upper()) for name in gpu_types)
    fields["gpu_type"] = Field(known.key, REQUEST, known.label, Kind.CHOICE, choices=choices, is_basic=True)
    return fields


def fields_in(fields: Mapping[str, Field], section: str) -> list[Field]:
    return [field for field in fields.values() if field.section == section]


def _own(question: Question) -> Field:
    kind = _KINDS[QuestionKind(question.kind)]
    return Field(
        key=OWN + question.key,
        section=QUESTIONS,
        label=question.label,
        kind=kind,
        help=question.help,
        required=question.required,
        choices=tuple((choice.value, choice.label) for choice in question.choices),
        most=question.max or (TEXT_LENGTH if kind == Kind.TEXT else 10**15 if kind == Kind.NUMBER else None),
    )
