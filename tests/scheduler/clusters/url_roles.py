from tests.scheduler.accounts.url_roles import cluster_name, prepare
from tests.urls.roles import Row

__all__ = ["ROWS", "prepare"]

ROWS = [
    Row("clusters:capacities", 302),
    Row("clusters:capacity", 200, args=cluster_name),
    Row("clusters:capacity_live", 200, args=cluster_name),
]
