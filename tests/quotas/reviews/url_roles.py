from quotas.reviews.services import decision_propose
from tests.quotas import makers
from tests.quotas.applications.conftest import submit
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}


def prepare(world: World) -> None:
    """One application that waits for a proposal, one for which the first operator has proposed an award."""
    world.programme = makers.programme()
    world.submitted, world.proposed = (
        submit(world.organisation_manager, world.organisation, world.programme) for _ in range(2)
    )
    world.decision = decision_propose(
        person=world.operator,
        application=world.proposed,
        outcome="award",
        awarded_gpu_hours=5,
        cluster="local",
        reason="x",
    )


def submitted(world: World) -> list[int]:
    return [world.submitted.pk]


def decision(world: World) -> list[int]:
    return [world.proposed.pk, world.decision.pk]


PROPOSAL = {"outcome": "award", "awarded_gpu_hours": 5, "cluster": "local", "project": "", "reason": "x"}

ROWS = [
    Row("reviews:queue", 404, **READERS),
    Row("reviews:card", 204, **READERS),
    Row("reviews:application", 404, args=submitted, **READERS),
    # On the application's own page: nothing to say to the applicant before it is decided.
    Row("reviews:application_card", 404, args=submitted, organisation_manager=204, **READERS),
    Row("reviews:propose", 404, post=PROPOSAL, args=submitted, operator=302, second_operator=302),
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
]
