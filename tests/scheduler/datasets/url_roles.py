from portal.clock import now
from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet
from scheduler.datasets.services.groups import groups_apply
from tests.scheduler.datasets import makers
from tests.scheduler.datasets.host import Host
from tests.urls.roles import Row, World

OPERATORS = ("operator", "second_operator")
READERS = dict.fromkeys((*OPERATORS, "approver", "auditor"), 200)
PROJECT = READERS | dict.fromkeys(("researcher", "pi", "organisation_manager"), 200)
KEEP = dict.fromkeys(OPERATORS, 200)
ACT = dict.fromkeys(OPERATORS, 302)


def prepare(world: World) -> None:
    world.sets_cluster, _ = Cluster.objects.get_or_create(
        name="local", defaults={"title": "Local", "created_at": now()}
    )
    world.set_of_project = makers.offered(world.sets_cluster, "cua-du-an", **makers.named(projects=[world.project]))
    world.set_of_all = makers.offered(world.sets_cluster, "cua-chung")
    world.set_draft = makers.draft(world.sets_cluster, "ban-nhap")
    groups_apply(cluster=world.sets_cluster, removals_cap=0, actor="test", groups=Host())


def of(name: str):
    return lambda world: [getattr(world, name).slug]


def cluster(world: World) -> list[str]:
    return [world.sets_cluster.name]


def sent(world: World) -> dict[str, object]:
    return makers.DESCRIBED | {"size_bytes": "3 TB", "released_on": "", "audience": DataSet.Audience.EVERYONE}


ROWS = [
    Row("datasets:list", 200),
    Row("datasets:data_set", 200, args=of("set_of_all")),
    Row("datasets:data_set", 404, args=of("set_of_project"), **PROJECT),
    Row("datasets:data_set", 404, args=of("set_draft"), **READERS),
    Row("datasets:new", 404, **KEEP),
    Row("datasets:new", 404, post={"name": "x"}, **dict.fromkeys(OPERATORS, 422)),
    Row("datasets:edit", 404, args=of("set_of_all"), **KEEP),
    Row("datasets:edit", 404, args=of("set_of_all"), post=sent, **ACT),
    Row("datasets:offer", 404, args=of("set_draft"), post={}, **ACT),
    Row("datasets:withdraw", 404, args=of("set_of_all"), **KEEP),
    Row("datasets:withdraw", 404, args=of("set_of_all"), post={"reason": "Licence ended"}, **ACT),
    Row("datasets:groups", 404, args=cluster, **READERS),
    Row("datasets:apply", 404, args=cluster, post={"digest": "x"}, **ACT),
]
