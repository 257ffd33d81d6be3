from tests.portal.api.programs import carrying
from tests.quotas.allocations.url_roles import prepare as prepare
from tests.urls.roles import Row

SEES = dict.fromkeys(
    ("researcher", "pi", "organisation_manager", "operator", "second_operator", "approver", "auditor"), 200
)
reads = carrying("read")

ROWS = [
    Row("allocations_v1:projects", 200, anonymous=401, client=reads),
    Row(
        "allocations_v1:project",
        404,
        args=lambda world: [world.project.slug],
        anonymous=401,
        client=reads,
        **SEES,
    ),
    Row("allocations_v1:allocations", 200, anonymous=401, client=reads),
]
