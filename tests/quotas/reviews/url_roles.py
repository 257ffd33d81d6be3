from typing import Any

from quotas.programmes.models import Criterion
from quotas.reviews.services import assignment_make, decision_propose, review_accept, reviewer_add
from tests.quotas import makers
from tests.quotas.applications.conftest import submit
from tests.quotas.reviews.conftest import another_reviewer, in_call
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
OPERATORS = {"operator": 302, "second_operator": 302}


def prepare(world: World) -> None:
    """Applications: one waits for a proposal, one has a proposed award, two are reviewed: one not begun, one begun."""
    world.programme = makers.programme()
    world.call = makers.call(world.programme)
    world.submitted, world.proposed, *reviewed = (
        in_call(submit(world.organisation_manager, world.organisation, world.programme), world.call) for _ in range(4)
    )
    world.decision = decision_propose(
        person=world.operator,
        application=world.proposed,
        outcome="award",
        awarded_gpu_hours=5,
        cluster="local",
        reason="x",
    )
    world.idle_reviewer = another_reviewer("idle")
    for one in (world.reviewer, world.idle_reviewer):
        reviewer_add(person=world.operator, call=world.call, reviewer=one)
    world.to_join = another_reviewer("joins")
    world.assigned, world.accepted = (
        assignment_make(person=world.operator, application=one, reviewer=world.reviewer) for one in reviewed
    )
    review_accept(person=world.reviewer, assignment=world.accepted)


def submitted(world: World) -> list[Any]:
    return [world.submitted.pk]


def decision(world: World) -> list[Any]:
    return [world.proposed.pk, world.decision.pk]


def assigned(world: World) -> list[Any]:
    return [world.assigned.pk]


def accepted(world: World) -> list[Any]:
    return [world.accepted.pk]


def call(world: World) -> list[Any]:
    return [world.call.slug]


def reviewer(world: World) -> list[Any]:
    return [world.reviewer.pk]


def idle(world: World) -> list[Any]:
    return [world.call.slug, world.idle_reviewer.pk]


def whole(world: World) -> dict[str, Any]:
    criteria = Criterion.objects.filter(call=world.call)
    return {f"score_{one.key}": 3 for one in criteria} | {f"reason_{one.key}": "x" for one in criteria}


PROPOSAL = {"outcome": "award", "awarded_gpu_hours": 5, "cluster": "local", "project": "", "reason": "x"}
EXPERTISE = {"sectors": ["health"], "product_groups": [], "open_reviews_limit": 5}

ROWS = [
    Row("reviews:queue", 404, **READERS),
    Row("reviews:card", 204, **READERS),
    Row("reviews:application", 404, args=submitted, **READERS),
    # On the application's own page: its managers can name who is to have no part.
    Row("reviews:application_card", 404, args=submitted, organisation_manager=200, **READERS),
    Row("reviews:budget_after", 404, args=submitted, operator=200, second_operator=200),
    Row(
        "reviews:conflict_name",
        404,
        post={"email": "an@centre.example", "reason": "x"},
        args=submitted,
        organisation_manager=302,
        operator=302,
        second_operator=302,
        approver=302,
        auditor=302,  # is told that it is not allowed
    ),
    Row("reviews:propose", 404, post=PROPOSAL, args=submitted, **OPERATORS),
    Row("reviews:propose", 404, post={}, args=submitted, operator=422, second_operator=422),
    # The proposer is told that another person must do it, on the page that the redirect leads to.
    Row("reviews:confirm", 404, post={}, args=decision, operator=302, second_operator=302, approver=302),
    Row("reviews:confirm", 405, args=decision, anonymous=405),
    Row(
        "reviews:send_back",
        404,
        post={"reason": "x"},
        args=decision,
        operator=302,
        second_operator=302,
        approver=302,
    ),
    # A reviewer's own.
    Row("reviews:list", 404, reviewer=200),
    Row("reviews:reviewer_card", 204, reviewer=200),
    Row("reviews:review", 404, args=assigned, reviewer=200),
    Row("reviews:review", 404, args=accepted, reviewer=200),
    Row("reviews:accept", 404, post={}, args=assigned, reviewer=302),
    Row("reviews:accept", 405, args=assigned, anonymous=405),
    Row("reviews:declare", 404, post={"reason": "x"}, args=assigned, reviewer=302),
    Row("reviews:declare", 404, post={}, args=assigned, reviewer=422),
    Row("reviews:save", 404, post=whole, args=accepted, reviewer=200),
    Row("reviews:submit", 404, post=whole, args=accepted, reviewer=302),
    Row("reviews:submit", 404, post={}, args=accepted, reviewer=422),
    Row("reviews:submit", 404, post=whole, args=assigned, reviewer=422),
    Row(
        "reviews:expertise",
        404,
        args=reviewer,
        reviewer=200,
        operator=200,
        second_operator=200,
    ),
    Row("reviews:expertise", 404, post=EXPERTISE, args=reviewer, reviewer=302, **OPERATORS),
    # A call's.
    Row("reviews:calls", 404, **READERS),
    Row("reviews:ranking", 404, args=call, **READERS),
    Row("reviews:matrix", 404, args=call, **READERS),
    Row(
        "reviews:reviewer_add",
        404,
        post=lambda world: {"reviewer": world.to_join.pk},
        args=call,
        **OPERATORS,
    ),
    Row("reviews:match", 404, post={}, args=call, **OPERATORS),
    Row("reviews:match", 405, args=call, anonymous=405),
    Row(
        "reviews:assign",
        404,
        post=lambda world: {"application": world.submitted.pk, "reviewer": world.idle_reviewer.pk},
        args=call,
        **OPERATORS,
    ),
    Row(
        "reviews:reviewer_leave",
        404,
        post={},
        args=idle,
        **OPERATORS,
    ),
    Row("reviews:unassign", 404, post={}, args=lambda world: [world.call.slug, world.assigned.pk], **OPERATORS),
]
