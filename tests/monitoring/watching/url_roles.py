from monitoring.watching.services import finding_open
from portal.clock import now
from tests.monitoring.watching.conftest import idle_sight
from tests.scheduler.jobs import url_roles as jobs
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
OPERATES = {"operator": 302, "second_operator": 302}


def prepare(world: World) -> None:
    jobs.prepare(world)
    world.finding = finding_open(sight=idle_sight(world.job), moment=now())


def finding(world: World) -> list[object]:
    return [world.finding.pk]


ROWS = [
    Row("watching:list", 404, **READERS),
    Row("watching:card", 404, **READERS),
    Row("watching:mine", 204, researcher=200, pi=200),
    Row("watching:measuring", 404, **READERS),
    Row("watching:rules", 404, **READERS),
    Row(
        "watching:rule_set",
        404,
        post=lambda world: {"kind": "cluster", "of": world.job.cluster.name, "cancels": "no"},
        **OPERATES,
    ),
    Row("watching:job", 404, args=lambda world: [world.job.pk], **jobs.SEES),
    Row("watching:finding", 404, args=finding, **READERS),
    Row("watching:acknowledge", 404, args=finding, post={}, **OPERATES),
    Row("watching:drain", 404, args=finding, post={}),
]
