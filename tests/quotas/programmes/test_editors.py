"""The editors of questions and criteria: every button sends the whole list, with JavaScript and without."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.people.models import User
from quotas.programmes.models import Call
from quotas.programmes.selectors import questions_current
from quotas.programmes.services import criteria_fix
from tests.quotas import makers
from tests.stack.browsing import Fields

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


@pytest.fixture
def call(db: None) -> Call:
    return makers.call(makers.programme())


class Editor:
    """A person in front of an editor's page: reads its fields as a browser would, and presses a button."""

    def __init__(self, client: Client, url: str) -> None:
        self.client, self.url = client, url
        self.page = client.get(url).content.decode()

    @property
    def fields(self) -> dict[str, str]:
        return Fields(self.page, self.url).values

    def press(self, button: str, *, htmx: bool = False, **typed: str) -> int:
        headers = {"HX-Request": "true"} if htmx else {}
        given = {**self.fields, **{name.replace("__", "-"): value for name, value in typed.items()}, "do": button}
        response = self.client.post(self.url, given, headers=headers)
        self.page = response.content.decode()
        return response.status_code

    def column(self, name: str) -> list[str]:
        fields = self.fields
        return [fields.get(f"{name}-{number}", "") for number in range(int(fields["count"]))]


@pytest.fixture
def editor(client_of: ClientOf, operator: User, call: Call) -> Callable[[str], Editor]:
    client = client_of(operator)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return lambda name: Editor(client, reverse(f"programmes:{name}", args=[call.slug]))


Open = Callable[[str], Editor]


def stored(call: Call) -> list[Any]:
    return list(questions_current(call).questions)


def test_what_is_published_untouched_is_no_new_version(editor: Open, call: Call) -> None:
    before = questions_current(call)
    assert editor("questions").press("publish") == 302
    assert questions_current(call) == before


def test_questions_are_moved_removed_and_added(editor: Open, call: Call) -> None:
    questions = editor("questions")
    assert questions.column("key") == ["q1", "q2", "q3", "q4"]
    questions.press("up:2")
    assert questions.column("key") == ["q1", "q3", "q2", "q4"]
    questions.press("down:0")
    questions.press("remove:3")
    assert questions.column("key") == ["q3", "q1", "q2"]
    questions.press("add")
    assert questions.column("key") == ["q3", "q1", "q2", "q5"]  # q4 was another question
    assert len(stored(call)) == 4  # nothing half-written is stored
    assert questions.press("publish", label_vi__3="Mới", label_en__3="New", **{"required-3": "1"}) == 302
    assert [one["key"] for one in stored(call)] == ["q3", "q1", "q2", "q5"]
    assert stored(call)[0]["choices"] == makers.QUESTIONS[2]["choices"]
    assert questions_current(call).version == 3


def test_what_was_typed_survives_every_button(editor: Open) -> None:
    questions = editor("questions")
    questions.press("down:1", label_vi__0="Sửa <b>dở</b>", help_en__0="Half-written", max__0="không phải số")
    assert questions.fields["label_vi-0"] == "Sửa <b>dở</b>"
    assert questions.fields["help_en-0"] == "Half-written"
    assert questions.fields["max-0"] == "không phải số"
    assert "<b>dở</b>" not in questions.page


def test_a_question_becomes_a_choice_and_has_choices(editor: Open, call: Call) -> None:
    questions = editor("questions")
    questions.press("refresh", kind__0="choice")
    assert questions.fields["choices-0"] == "2"
    questions.press("choice-add:0", **{"choice-label_vi-0-0": "Có", "choice-label_en-0-0": "Yes"})
    assert questions.fields["choices-0"] == "3"
    questions.press("choice-remove:0:1", **{"choice-label_vi-0-2": "Không", "choice-label_en-0-2": "No"})
    assert questions.press("publish") == 302
    first = stored(call)[0]
    assert [choice["label_vi"] for choice in first["choices"]] == ["Có", "Không"]
    assert len({choice["value"] for choice in first["choices"]}) == 2
    assert first["max"] is None


def test_every_wrong_question_says_so_at_once_and_nothing_is_published(editor: Open, call: Call) -> None:
    questions = editor("questions")
    assert questions.press("publish", label_vi__0="", max__1="0", kind__3="drawing") == 422
    assert "3 questions need a correction" in questions.page
    assert questions.page.count("field-error") == 3
    assert questions.column("label_en")[0] == "Describe the data"
    assert questions_current(call).version == 2


def test_the_preview_shows_what_the_applicant_sees(editor: Open) -> None:
    questions = editor("questions")
    questions.press("refresh", label_en__0="A changed question", label_vi__1="")
    preview = questions.page.split('id="preview-title"')[1]
    assert "A changed question" in preview
    assert "One question is not finished" in preview
    assert 'type="file"' in preview


def test_htmx_gets_the_editor_alone(editor: Open) -> None:
    questions = editor("questions")
    assert questions.press("up:1", htmx=True) == 200
    assert questions.page.lstrip().startswith('<div id="editor"')
    assert re.search(r'role="status">\s*Moved up\.', questions.page)


@pytest.mark.parametrize(
    "button",
    ["up:0", "down:3", "up:99", "remove:-1", "choice-add:99", "choice-remove:0:9", "x", "", "up:", "up:9999999"],
)
def test_a_button_that_leads_nowhere_changes_nothing(editor: Open, button: str) -> None:
    questions = editor("questions")
    before = questions.fields
    assert questions.press(button) == 200
    assert {name: value for name, value in questions.fields.items() if "csrf" not in name} == {
        name: value for name, value in before.items() if "csrf" not in name
    }


def test_an_editor_does_not_grow_without_end(editor: Open, call: Call) -> None:
    questions = editor("questions")
    questions.press("refresh", count="9999999999")
    assert len(questions.column("key")) == 4 or int(questions.fields["count"]) <= 61
    questions.press("refresh", count="500", **{f"key-{number}": f"k{number}" for number in range(80)})
    assert int(questions.fields["count"]) <= 61


def test_criteria_are_edited_the_same_way(editor: Open, call: Call) -> None:
    criteria = editor("criteria")
    assert criteria.column("key") == ["merit", "impact", "team"]
    criteria.press("down:0")
    criteria.press("remove:2")
    criteria.press("add", weight__0="6")
    assert "60\xa0%" in criteria.page.split('id="weights"')[1]
    assert criteria.press("publish", label_vi__2="Mới", label_en__2="New") == 302
    assert [(one.key, one.weight) for one in call.criteria.all()] == [("impact", 6), ("merit", 3), ("c1", 1)]


def test_a_wrong_criterion_says_so_beside_it(editor: Open, call: Call) -> None:
    criteria = editor("criteria")
    for typed in ({"weight__1": "0"}, {"weight__1": "hai"}, {"label_en__1": ""}, {"max_score__1": "101"}):
        assert criteria.press("publish", **typed) == 422
        assert criteria.page.count("field-error") == 1
        criteria = editor("criteria")
    assert [one.weight for one in call.criteria.all()] == [3, 2, 1]


def test_criteria_that_stand_say_so(editor: Open, call: Call) -> None:
    criteria = editor("criteria")
    criteria_fix(call=call)
    assert criteria.press("publish", weight__0="9") == 422
    assert "The first score was given" in criteria.page
    assert "<fieldset disabled>" in criteria.page
