from collections.abc import Callable
from typing import Any

import pytest

from portal.people.models import CentreRole, Organisation, User
from quotas.applications.models import Application
from quotas.programmes.models import Call, Criterion, Programme
from quotas.programmes.selectors import questions_current
from quotas.reviews.models import Assignment, Decision
from quotas.reviews.services import (
    assignment_make,
    decision_propose,
    review_accept,
    review_submit,
    reviewer_add,
)
from quotas.reviews.services.scoring import ScoreGiven
from tests import factories
from tests.quotas import makers
from tests.quotas.applications.conftest import application, programme, submit  # noqa: F401  the same ones

Propose = Callable[..., Decision]


@pytest.fixture
def propose(application: Application, operator: User) -> Propose:  # noqa: F811
    """An (operator) proposes to award 400 of the 500 hours, unless told otherwise."""

    def make(**changes: object) -> Decision:
        wanted: dict[str, object] = {
            "person": operator,
            "application": application,
            "outcome": "award",
            "awarded_gpu_hours": 400,
            "cluster": "local",
            "reason": "Đúng sản phẩm ưu tiên.",
        }
        return decision_propose(**{**wanted, **changes})  # type: ignore[arg-type]

    return make


# --- reviews --------------------------------------------------------------------------------------------------------


def in_call(one: Application, call: Call, *, sector: str = "health", product_group: str = "assistant") -> Application:
    """The application as if it had been written for the call."""
    Application.objects.filter(pk=one.pk).update(
        call=call, question_set=questions_current(call), sector=sector, product_group=product_group
    )
    return Application.objects.select_related("organisation", "programme", "applicant", "call").get(pk=one.pk)


def another_reviewer(name: str) -> User:
    return factories.person(f"{name}@reviewers.example", f"Reviewer {name}", centre_roles=(CentreRole.Role.REVIEWER,))


def scores(call: Call, value: int = 4) -> dict[str, ScoreGiven]:
    return {one.key: ScoreGiven(value, f"because {one.key}") for one in Criterion.objects.filter(call=call)}


def reviewed(review: Assignment, value: int = 4) -> Assignment:
    """The reviewer declares no interest and gives the same score everywhere."""
    if review.state == "assigned":
        review_accept(person=review.reviewer, assignment=review)
    call = review.application.call
    assert call is not None
    return review_submit(person=review.reviewer, assignment=review, scores=scores(call, value), comment="Worth it.")


@pytest.fixture
def call(programme: Programme) -> Call:  # noqa: F811
    return makers.call(programme)


@pytest.fixture
def asked(application: Application, call: Call) -> Application:  # noqa: F811
    """The application of Sao Mai AI, in the call."""
    return in_call(application, call)


@pytest.fixture
def second_reviewer(db: None) -> User:
    return another_reviewer("ha")


@pytest.fixture
def review(asked: Application, call: Call, operator: User, reviewer: User) -> Assignment:
    """Dũng is asked to review it."""
    reviewer_add(person=operator, call=call, reviewer=reviewer)
    return assignment_make(person=operator, application=asked, reviewer=reviewer)


@pytest.fixture
def second_review(review: Assignment, call: Call, operator: User, second_reviewer: User) -> Assignment:
    reviewer_add(person=operator, call=call, reviewer=second_reviewer)
    return assignment_make(person=operator, application=review.application, reviewer=second_reviewer)


Apply = Callable[..., Application]


@pytest.fixture
def apply(organisation_manager: User, organisation: Organisation, call: Call) -> Apply:
    """Another application of Sao Mai AI in the call."""

    def make(title: str, *, sector: str = "health", product_group: str = "assistant", **changes: Any) -> Application:
        made = submit(organisation_manager, organisation, call.programme, project_title=title, **changes)
        return in_call(made, call, sector=sector, product_group=product_group)

    return make
