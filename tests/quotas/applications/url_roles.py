from datetime import timedelta
from typing import Any

from portal.clock import centre_date, now
from quotas.applications.services import application_submit
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
    world.programme = makers.programme()
    data = form(world) | {"organisation": world.organisation, "programme": world.programme}
    world.submitted = application_submit(person=world.organisation_manager, **data)


def submitted(world: World) -> list[int]:
    return [world.submitted.pk]


ROWS = [
    Row("applications:list", 200),
    Row("applications:submit", 404, organisation_manager=200, outsider=200),
    # A manager of another organisation can apply, but not for this one: the form says so.
    Row("applications:submit", 404, post=form, organisation_manager=302, outsider=422),
    Row("applications:detail", 404, args=submitted, organisation_manager=200, **READERS),
    Row("applications:withdraw", 404, post={}, args=submitted, organisation_manager=302),
    Row("applications:withdraw", 405, args=submitted, anonymous=405),
    Row("applications:card", 204, organisation_manager=200, outsider=200),
]
