"""The editors of questions and criteria: a list of rows that a page sends as a whole with every button.

The page keeps the state, so nothing is lost between two buttons and nothing half-written is stored: `read` makes rows
of what was sent, `edited` does what the button says. Values are as a person typed them until a service checks them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quotas.programmes.models import Criterion
from quotas.programmes.questions import CHOICES_MOST, QUESTIONS_MOST, Question, QuestionKind
from quotas.programmes.services import CriterionGiven

ROWS_MOST = QUESTIONS_MOST
QUESTION_FIELDS = ("key", "kind", "label_vi", "label_en", "help_vi", "help_en", "max")
CRITERION_FIELDS = ("key", "label_vi", "label_en", "weight", "max_score")
CHOICE_FIELDS = ("value", "label_vi", "label_en")


@dataclass
class Row:
    """One question or criterion as it is being written. error: what was refused, and error_field where."""

    values: dict[str, str]
    required: bool = True
    choices: list[dict[str, str]] = field(default_factory=list)
    error: str = ""
    error_field: str = ""
    fresh: bool = False  # just added: the page puts the cursor there

    @property
    def is_choice(self) -> bool:
        return self.values.get("kind") == QuestionKind.CHOICE

    @property
    def has_max(self) -> bool:
        return self.values.get("kind") in (QuestionKind.TEXT, QuestionKind.NUMBER)


def read(data: Mapping[str, str], fields: Iterable[str]) -> list[Row]:
    """The rows that a page sent: NAME-0, NAME-1, … as many as `count` says, each with its choices."""
    rows = []
    for number in range(_count(data.get("count"), ROWS_MOST + 1)):
        choices = [
            {name: data.get(f"choice-{name}-{number}-{place}", "").strip() for name in CHOICE_FIELDS}
            for place in range(_count(data.get(f"choices-{number}"), CHOICES_MOST + 1))
        ]
        values = {name: data.get(f"{name}-{number}", "").strip() for name in fields}
        rows.append(Row(values, required=f"required-{number}" in data, choices=choices))
    return rows


def _count(given: str | None, most: int) -> int:
    return min(int(given), most) if given and given.isdigit() and len(given) < 4 else 0


def edited(rows: list[Row], button: str, new: Row) -> list[Row]:
    """The rows after a button: add, remove:2, up:2, down:2, choice-add:2, choice-remove:2:0. Others change nothing."""
    verb, *numbers = button.split(":")
    at = [int(number) for number in numbers if number.isdigit() and len(number) < 4]
    if verb == "add" and len(rows) < ROWS_MOST:
        return [*rows, new]
    if not at or at[0] >= len(rows):
        return rows
    row = rows[at[0]]
    if verb == "remove":
        return [other for other in rows if other is not row]
    if verb in ("up", "down"):
        return _moved(rows, at[0], at[0] + (1 if verb == "down" else -1))
    if verb == "choice-add" and len(row.choices) < CHOICES_MOST:
        row.choices.append(_choice(row))
    if verb == "choice-remove" and len(at) == 2 and at[1] < len(row.choices):
        del row.choices[at[1]]
    return rows


def _moved(rows: list[Row], here: int, there: int) -> list[Row]:
    if 0 <= there < len(rows):
        rows[here], rows[there] = rows[there], rows[here]
    return rows


def _choice(row: Row) -> dict[str, str]:
    return {"value": next_key("c", (choice["value"] for choice in row.choices)), "label_vi": "", "label_en": ""}


def next_key(letter: str, known: Iterable[str]) -> str:
    """A key that none of the known ones is: q1, q2, … Keys of earlier versions are never used for another question."""
    numbers = [int(found[1]) for key in known if (found := re.fullmatch(rf"{letter}(\d{{1,6}})", key))]
    return f"{letter}{max(numbers, default=0) + 1}"


# --- questions ------------------------------------------------------------------------------------------------------


def question_new(known_keys: Iterable[str], kind: str = QuestionKind.TEXT) -> Row:
    values = dict.fromkeys(QUESTION_FIELDS, "") | {"key": next_key("q", known_keys), "kind": str(kind)}
    return Row(values, fresh=True)


def question_rows(questions: Iterable[Question]) -> list[Row]:
    return [
        Row(
            {name: str(getattr(one, name) or "") for name in QUESTION_FIELDS},
            required=one.required,
            choices=[{name: getattr(choice, name) for name in CHOICE_FIELDS} for choice in one.choices],
        )
        for one in questions
    ]


def choices_begun(rows: Iterable[Row]) -> None:
    """A question that has become a choice has two to fill in."""
    for row in rows:
        while row.is_choice and len(row.choices) < 2:
            row.choices.append(_choice(row))


def question_given(row: Row) -> dict[str, Any]:
    """A row as `questions_checked` takes it; what is no number stays a text, which that refuses."""
    most = row.values["max"]
    given: dict[str, Any] = {**row.values, "required": row.required, "choices": []}
    given["max"] = None if not most or not row.has_max else int(most) if re.fullmatch(r"\d{1,16}", most) else most
    if row.is_choice:  # a choice that nobody filled in is none
        given["choices"] = [one for one in row.choices if one["label_vi"] or one["label_en"]]
    return given


# --- criteria -------------------------------------------------------------------------------------------------------


def criterion_new(known_keys: Iterable[str]) -> Row:
    values = {"key": next_key("c", known_keys), "label_vi": "", "label_en": "", "weight": "1", "max_score": "5"}
    return Row(values, fresh=True)


def criterion_rows(criteria: Iterable[Criterion]) -> list[Row]:
    return [Row({name: str(getattr(one, name)) for name in CRITERION_FIELDS}) for one in criteria]


def criterion_given(row: Row) -> CriterionGiven:
    """What is no whole number becomes 0, which the service refuses."""
    values = row.values
    return CriterionGiven(
        key=values["key"],
        label_vi=values["label_vi"],
        label_en=values["label_en"],
        weight=_count(values["weight"], 999),
        max_score=_count(values["max_score"], 999),
    )
