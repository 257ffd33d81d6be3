"""The ranking: means, ties, and how far the budget reaches."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.people.models import Organisation, User
from quotas.applications.models import Application
from quotas.programmes.models import Call
from quotas.reviews.models import Assignment
from quotas.reviews.ranking import ranking_of
from quotas.reviews.services import assignment_make, decision_confirm, reviewer_add
from tests import factories
from tests.quotas.makers import HOUR
from tests.quotas.reviews.conftest import Apply, Propose, reviewed

pytestmark = pytest.mark.django_db
Scored = Callable[..., Application]


@pytest.fixture
def scored(apply: Apply, call: Call, operator: User, reviewer: User, second_reviewer: User) -> Scored:
    """An application with one or two reviews that gave these scores everywhere."""
    for one in (reviewer, second_reviewer):
        reviewer_add(person=operator, call=call, reviewer=one)

    def make(title: str, *values: int, gpu_hours: int = 100) -> Application:
        made = apply(title, gpu_hours=gpu_hours)
        for person, value in zip((reviewer, second_reviewer), values, strict=False):
            reviewed(assignment_make(person=operator, application=made, reviewer=person), value)
        return made

    return make


def places(person: User, call: Call) -> list[tuple[str, int | None, int, int | None, int | None]]:
    return [
        (row.application.project_title, row.rank, row.ties, row.mean_basis_points, row.spread_basis_points)
        for row in ranking_of(person, call).rows
    ]


def test_it_ranks_by_the_mean_and_shows_ties_as_ties(scored: Scored, call: Call, operator: User) -> None:
    scored("AAA", 3, 3)
    scored("BBB", 5, 4)
    scored("CCC", 4, 2)
    scored("DDD")
    scored("EEE", 1)
    assert places(operator, call) == [
        ("BBB", 1, 1, 9_000, 2_000),
        ("AAA", 2, 2, 6_000, 0),
        ("CCC", 2, 2, 6_000, 4_000),
        ("EEE", 4, 1, 2_000, 0),
        ("DDD", None, 1, None, None),
    ]


def test_the_budget_reaches_down_to_whole_ties(scored: Scored, call: Call, operator: User) -> None:
    """1,000 H100-hours: 500 for the first, but not 300 + 300 for the two behind it that are equal."""
    scored("AAA", 5, gpu_hours=500)
    scored("BBB", 4, gpu_hours=300)
    scored("CCC", 4, gpu_hours=300)
    found = ranking_of(operator, call)
    [line] = found.lines
    assert (line.rank, line.needed_gpu_seconds, line.left_gpu_seconds) == (1, 500 * HOUR, 500 * HOUR)
    assert [row.is_affordable for row in found.rows] == [True, False, False]
    assert [row.needed_gpu_seconds for row in found.rows] == [500 * HOUR, 1_100 * HOUR, 1_100 * HOUR]


def test_a_partial_award_makes_room_and_what_is_decided_takes_nothing_twice(
    scored: Scored, call: Call, operator: User, second_operator: User, propose: Propose
) -> None:
    first = scored("AAA", 5, gpu_hours=900)
    scored("BBB", 4, gpu_hours=600)
    assert [row.is_affordable for row in ranking_of(operator, call).rows] == [True, False]
    decision = propose(application=first, awarded_gpu_hours=400)
    assert [row.wanted_gpu_seconds for row in ranking_of(operator, call).rows] == [400 * HOUR, 600 * HOUR]
    decision_confirm(person=second_operator, decision=decision)
    found = ranking_of(operator, call)
    assert [row.wanted_gpu_seconds for row in found.rows] == [0, 600 * HOUR]
    assert [(line.rank, line.is_all, line.left_gpu_seconds) for line in found.lines] == [(2, True, 0)]


def test_a_score_whose_reviewer_is_bound_now_does_not_count(
    scored: Scored, call: Call, operator: User, reviewer: User, organisation: Organisation
) -> None:
    scored("AAA", 5, 3)
    factories.member(reviewer, organisation)
    assert places(operator, call) == [("AAA", 1, 1, 6_000, 0)]


def test_who_is_bound_or_still_reviews_sees_no_scores(
    scored: Scored, call: Call, second_operator: User, organisation: Organisation
) -> None:
    scored("AAA", 5)
    factories.member(second_operator, organisation)
    assert places(second_operator, call) == [("AAA", None, 1, None, None)]


def test_it_costs_the_same_queries_whatever_its_length(scored: Scored, call: Call, operator: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            ranking_of(operator, call)
        return len(found)

    scored("AAA", 5)
    few = queries()
    for number in range(10):
        scored(f"Số {number}", 3)
    assert queries() == few
    assert Assignment.objects.count() == 11
