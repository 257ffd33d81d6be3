from datetime import timedelta
from typing import Any

from portal.clock import centre_date, now
from quotas.applications.models import Application
from quotas.applications.services import application_submit, decision_propose
from tests.quotas import makers
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}


def form(world: World) -> dict[str, Any]:
    today = centre_date(now())
    return {
        "organisation": world.organisation.pk,
        "programme": world.programme.pk,
        "project_title": "Trợ lý ảo",
        "purpose": "Tinh chỉnh",
        "gpu_type": "h100",
        "gpu_hours": 10,
        "starts_on": today,
        "ends_on": today + timedelta(days=30),
    }


def prepare(world: World) -> None:
    """One application that waits for a proposal, one for which the first operator has proposed an award."""
    world.programme = makers.programme()

    def submit() -> Application:
        data = form(world) | {"organisation": world.organisation, "programme": world.programme}
        return application_submit(person=world.organisation_manager, **data)

    world.submitted, world.proposed = submit(), submit()
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
    Row("applications:list", 200),
    Row("applications:submit", 404, organisation_manager=200, outsider=200),
    # A manager of another organisation can apply, but not for this one: the form says so.
    Row("applications:submit", 404, post=form, organisation_manager=302, outsider=422),
    Row("applications:detail", 404, args=submitted, organisation_manager=200, **READERS),
    Row("applications:withdraw", 404, post={}, args=submitted, organisation_manager=302),
    Row("applications:withdraw", 405, args=submitted, anonymous=405),
    Row("applications:propose", 404, post=PROPOSAL, args=submitted, operator=302, second_operator=302),
    Row("applications:propose", 404, post={}, args=submitted, operator=422, second_operator=422),
    # The proposer is told that another person must do it, on the page that the redirect leads to.
    Row("applications:confirm", 404, post={}, args=decision, operator=302, second_operator=302, approver=302),
    Row("applications:confirm", 405, args=decision, anonymous=405),
    Row(
        "applications:send_back",
        404,
        post={"reason": "x"},
        args=decision,
        operator=302,
        second_operator=302,
        approver=302,
    ),
    Row("applications:queue", 404, **READERS),
    Row("applications:card", 204, organisation_manager=200, outsider=200, **READERS),
]
