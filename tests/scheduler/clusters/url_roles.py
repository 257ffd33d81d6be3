from tests.scheduler.accounts.url_roles import READERS, cluster_name, prepare
from tests.urls.roles import Row

__all__ = ["ROWS", "prepare"]

ROWS = [
    Row("clusters:capacities", 302),
    Row("clusters:capacity", 200, args=cluster_name),
    Row("clusters:capacity_live", 200, args=cluster_name),
    Row("clusters:nodes_out", 404, args=cluster_name, **READERS),
    Row("clusters:nodes_out_card", 404, **dict.fromkeys(READERS, 204)),
    Row("clusters:node_resume", 404, args=cluster_name, post={"node": "x"}, operator=302, second_operator=302),
]
