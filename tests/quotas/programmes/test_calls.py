"""Calls: when they are open, what they ask, by what is scored."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.http import Http404
from django.utils import translation

from portal.clock import now
from portal.people.models import User
from quotas.programmes.errors import CallExists, CriteriaFixed, Invalid
from quotas.programmes.models import Call, Criterion, Programme, QuestionSet
from quotas.programmes.questions import questions_of
from quotas.programmes.selectors import call_get, call_get_managed, calls_open, questions_current
from quotas.programmes.services import call_change, call_create, criteria_fix, criteria_set, questions_publish
from tests.quotas import makers
from tests.quotas.makers import CRITERIA, QUESTIONS

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme()


@pytest.fixture
def call(programme: Programme) -> Call:
    return makers.call(programme)


def change(call: Call, **changes: Any) -> Call:
    wanted: dict[str, Any] = {
        "title": call.title,
        "opens_at": call.opens_at,
        "closes_at": call.closes_at,
        "reviews_needed": call.reviews_needed,
    }
    return call_change(call=call, actor="test", **{**wanted, **changes})


# --- open and closed --------------------------------------------------------------------------------------------------


def test_a_call_is_open_from_its_first_moment_until_before_its_last(programme: Programme) -> None:
    opens_at = now() + DAY
    made = makers.call(programme, opens_at=opens_at, closes_at=opens_at + DAY)
    second = timedelta(seconds=1)
    moments = (opens_at - second, opens_at, opens_at + DAY - second, opens_at + DAY)
    assert [list(calls_open(at)) for at in moments] == [[], [made], [made], []]
    assert call_get("dot-1") == made


def test_what_has_begun_stands_and_no_end_lies_in_the_past(call: Call) -> None:
    later = now() + 2 * DAY
    assert change(call, closes_at=later).closes_at == later
    for field, moment in (("opens_at", now() + DAY), ("closes_at", now() - DAY), ("closes_at", now())):
        with pytest.raises(Invalid) as refused:
            change(call, **{field: moment})
        assert refused.value.field == field
    assert change(call, title="Tên khác", closes_at=call.closes_at).title == "Tên khác"


def test_a_call_whose_scoring_has_begun_is_not_opened_again(call: Call) -> None:
    criteria_fix(call=call)
    with time_machine.travel(call.closes_at + DAY):
        with pytest.raises(Invalid):
            change(call, closes_at=now() + DAY)
        change(call, title="Chỉ đổi tên")


def test_a_call_lies_within_its_programme(programme: Programme) -> None:
    end_of_last_day = datetime(2100, 1, 1, tzinfo=now().tzinfo) - timedelta(hours=7)  # midnight in the centre
    makers.call(programme, closes_at=end_of_last_day)
    tomorrow = now() + DAY
    for times, field in (
        ({"closes_at": end_of_last_day + timedelta(seconds=1)}, "closes_at"),
        ({"opens_at": datetime(2025, 12, 31, 16, 59, tzinfo=now().tzinfo)}, "opens_at"),
        ({"opens_at": tomorrow, "closes_at": tomorrow}, "closes_at"),
        ({"opens_at": now() - 2 * DAY, "closes_at": now() - DAY}, "closes_at"),
    ):
        with pytest.raises(Invalid) as refused:
            makers.call(programme, "dot-2", **times)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"slug": "Đợt 1"}, "slug"),
        ({"slug": "new"}, "slug"),
        ({"slug": "a" * 41}, "slug"),
        ({"title": "a"}, "title"),
        ({"title": "a; rm"}, "title"),
        ({"reviews_needed": 0}, "reviews_needed"),
        ({"reviews_needed": 10}, "reviews_needed"),
        ({"summary_vi": "x" * 2_001}, "summary_vi"),
        ({"summary_en": "a\x00"}, "summary_en"),
    ],
    ids=str,
)
def test_what_no_call_may_be(programme: Programme, wrong: dict[str, Any], field: str) -> None:
    fine: dict[str, Any] = {"title": "Đợt 1", "slug": "dot-1", "opens_at": now(), "closes_at": now() + DAY}
    with pytest.raises(Invalid) as refused:
        call_create(programme=programme, actor="test", **{**fine, **wrong})
    assert refused.value.field == field


def test_a_short_name_is_used_once(call: Call, programme: Programme) -> None:
    with pytest.raises(CallExists):
        makers.call(programme)


def test_only_operators_get_a_call_for_changes(call: Call, operator: User, approver: User, nobody: User) -> None:
    assert call_get_managed(operator, call.slug) == call
    for person in (approver, nobody):
        with pytest.raises(Http404):
            call_get_managed(person, call.slug)


# --- questions --------------------------------------------------------------------------------------------------------


def test_questions_keep_their_order_and_speak_both_languages(call: Call) -> None:
    questions = questions_of(questions_current(call))
    assert [question.key for question in questions] == ["q1", "q2", "q3", "q4"]
    assert [question.kind for question in questions] == ["text", "number", "choice", "file"]
    assert [choice.value for choice in questions[2].choices] == ["idea", "product"]
    assert (questions[0].max, questions[0].required, questions[3].required) == (500, True, False)
    for language, label in (("vi", "Mô tả dữ liệu"), ("en", "Describe the data")):
        with translation.override(language):
            assert questions[0].label == label


def test_a_new_version_leaves_the_old_one(call: Call, operator: User) -> None:
    old = questions_current(call)
    assert questions_publish(call=call, questions=QUESTIONS, actor=operator) == old  # nothing new, no version
    new = questions_publish(call=call, questions=QUESTIONS[::-1], actor=operator)
    assert (new.version, new.created_by) == (old.version + 1, operator)
    assert questions_current(call) == new
    assert [question.key for question in questions_of(QuestionSet.objects.get(pk=old.pk))] == ["q1", "q2", "q3", "q4"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"key": "Q 1"}, "key"),
        ({"key": ""}, "key"),
        ({"kind": "drawing"}, "kind"),
        ({"label_vi": " "}, "label_vi"),
        ({"label_en": ""}, "label_en"),
        ({"label_en": "x" * 301}, "label_en"),
        ({"label_en": "a\x00"}, "label_en"),
        ({"help_vi": "x" * 1_001}, "help_vi"),
        ({"max": 0}, "max"),
        ({"max": 10_001}, "max"),
        ({"max": "5"}, "max"),
        ({"max": True}, "max"),
        ({"kind": "choice", "choices": []}, "choices"),
        ({"kind": "choice", "choices": [{"label_vi": "Có", "label_en": "Yes"}]}, "choices"),
        ({"kind": "choice", "choices": [{"label_vi": "Có", "label_en": "Yes"}, {"label_vi": "Không"}]}, "choices"),
        (
            {"kind": "choice", "choices": [{"value": "1", "label_vi": "a", "label_en": "a"}] * 2},
            "choices",
        ),
    ],
    ids=str,
)
def test_what_no_question_may_be(call: Call, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        questions_publish(call=call, questions=[QUESTIONS[1], QUESTIONS[0] | wrong], actor="test")
    assert (refused.value.field, refused.value.position) == (field, 1)
    assert questions_current(call).version == 2


def test_two_questions_never_share_a_key_and_there_are_not_too_many(call: Call) -> None:
    with pytest.raises(Invalid):
        questions_publish(call=call, questions=[QUESTIONS[0], QUESTIONS[0]], actor="test")
    with pytest.raises(Invalid):
        questions_publish(call=call, questions=[QUESTIONS[0] | {"key": f"q{n}"} for n in range(61)], actor="test")


# --- criteria ---------------------------------------------------------------------------------------------------------


def test_criteria_stand_from_the_first_score_on(call: Call) -> None:
    heavier = [replace(CRITERIA[1], weight=9), CRITERIA[0]]
    assert [(one.key, one.weight) for one in criteria_set(call=call, criteria=heavier, actor="test")] == [
        ("impact", 9),
        ("merit", 3),
    ]
    criteria_fix(call=call)
    criteria_fix(call=call)
    with pytest.raises(CriteriaFixed):
        criteria_set(call=call, criteria=CRITERIA, actor="test")
    assert Criterion.objects.count() == 2


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"key": "No key"}, "key"),
        ({"key": "merit"}, "key"),
        ({"label_vi": ""}, "label_vi"),
        ({"label_en": "x" * 201}, "label_en"),
        ({"weight": 0}, "weight"),
        ({"weight": 101}, "weight"),
        ({"max_score": 0}, "max_score"),
    ],
    ids=str,
)
def test_what_no_criterion_may_be(call: Call, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        criteria_set(call=call, criteria=[CRITERIA[0], replace(CRITERIA[1], **wrong)], actor="test")
    assert (refused.value.field, refused.value.position) == (field, 1)


# --- what the database refuses, the web process's role included -------------------------------------------------------


@pytest.mark.parametrize("role", ["", "saola_web", "saola_worker"])
def test_versions_and_fixed_criteria_never_change(call: Call, role: str) -> None:
    criteria_fix(call=call)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if role:
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role])
            if cursor.fetchone() == (0,):
                pytest.skip("this server is a developer's own: it has no roles")
            cursor.execute(f"SET LOCAL ROLE {role}")
    for statement in (
        "UPDATE programmes_questionset SET questions = '[]'",
        "DELETE FROM programmes_questionset",
        "TRUNCATE programmes_questionset CASCADE",
    ):
        with (
            pytest.raises(DatabaseError, match=r"refused|permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    for statement in (
        "UPDATE programmes_criterion SET weight = 7",
        "DELETE FROM programmes_criterion",
        "INSERT INTO programmes_criterion (call_id, position, key, label_vi, label_en, weight, max_score)"
        " SELECT id, 9, 'more', 'x', 'x', 1, 1 FROM programmes_call",
        "UPDATE programmes_call SET criteria_fixed_at = NULL",
    ):
        with (
            pytest.raises(IntegrityError, match="criteria_fixed"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
