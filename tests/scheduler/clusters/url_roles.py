from tests.scheduler.accounts.url_roles import READERS, cluster_name, prepare
from tests.urls.roles import Row, World

__all__ = ["ROWS", "prepare"]


def project_slug(world: World) -> list[str]:
    return [world.project.slug]


ROWS = [
    Row(
        "clusters:project_reservations",
        404,
        args=project_slug,
        **dict.fromkeys(("researcher", "pi", "organisation_manager", *READERS), 204),
    ),
    Row("clusters:capacities", 302),
    Row("clusters:capacity", 200, args=cluster_name),
    Row("clusters:capacity_live", 200, args=cluster_name),
    Row("clusters:nodes_out", 404, args=cluster_name, **READERS),
    Row("clusters:nodes_out_card", 404, **dict.fromkeys(READERS, 204)),
    Row("clusters:node_resume", 404, args=cluster_name, post={"node": "x"}, operator=302, second_operator=302),
]
