from tests.quotas import makers
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import OCTOBER, full_month, issue
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
OPERATORS = {"operator": 302, "second_operator": 302}


def prepare(world: World) -> None:
    with at(2026, 9, 1):
        programme = makers.programme(h200_hours=100)
    full_month(world.project, programme)
    world.statement = issue(OCTOBER)["sao-mai"]


def organisation(world: World) -> list[str]:
    return [world.organisation.slug]


def number(world: World) -> list[str]:
    return [world.statement.number]


def month(world: World) -> list[str]:
    return ["2026-10"]


ROWS = [
    # Managers have one organisation and go to its statements; the centre's people see the months.
    Row("statements:list", 404, organisation_manager=302, outsider=302, **READERS),
    Row("statements:organisation", 404, args=organisation, organisation_manager=200, **READERS),
    Row(
        "statements:organisation_card",
        404,
        args=organisation,
        researcher=204,
        pi=204,
        organisation_member=204,
        organisation_manager=200,
        **READERS,
    ),
    Row("statements:statement", 404, args=number, organisation_manager=200, **READERS),
    Row("statements:statement", 404, args=lambda world: ["SK-2026-10-09999"]),
    # Files are made by the worker: until then there is nothing to load down.
    Row("statements:download", 404, args=lambda world: [world.statement.number, "vi", "pdf"]),
    Row("statements:month", 404, args=month, **READERS),
    Row("statements:month", 404, args=lambda world: ["2026-13"]),
    Row("statements:month_progress", 404, args=month, **READERS),
    Row("statements:month_issue", 404, args=month, post={}, **OPERATORS),
    Row("statements:month_issue", 405, args=month, anonymous=405),
    Row("statements:correct", 404, args=number, post={"reason": "x"}, **OPERATORS),
    Row("statements:correct", 404, args=number, post={}, operator=422, second_operator=422),
]
