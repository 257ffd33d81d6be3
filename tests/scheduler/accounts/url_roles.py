from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}


def prepare(world: World) -> None:
    from portal.clock import now
    from scheduler.clusters.models import Cluster

    world.roles_cluster, _ = Cluster.objects.get_or_create(
        name="local", defaults={"title": "Cụm thử", "created_at": now()}
    )


def cluster_name(world: World) -> list[str]:
    return [world.roles_cluster.name]


WORDS = {"title": "Cụm", "overshoot_s": 60, "removals_cap": 20}
NEW = WORDS | {"name": "south", "account_prefix": "sl-"}
OPERATORS = {"operator": 302, "second_operator": 302}


def sandbox_rule(world: World) -> list[str]:
    return [world.roles_cluster.name, "sandbox"]


RULE = {"hours": "2", "jobs": "1", "queued": "1", "gpus": "1"}

ROWS = [
    Row("accounts:rules", 404, args=cluster_name, **READERS),
    Row("accounts:rule_edit", 404, args=sandbox_rule, operator=200, second_operator=200),
    Row("accounts:rule_edit", 404, args=sandbox_rule, post=RULE, **OPERATORS),
    Row("accounts:rule_edit", 404, args=sandbox_rule, post={}, operator=422, second_operator=422),
    Row("accounts:rule_drop", 404, args=sandbox_rule, post={}, **OPERATORS),
    Row("accounts:slice_add", 404, args=cluster_name, post={}, operator=422, second_operator=422),
    # The table's cluster has no slice: nothing there is to be forgotten.
    Row("accounts:slice_forget", 404, args=lambda world: [*cluster_name(world), "h100_1g.10gb"], post={}),
    Row("accounts:cluster_new", 404, operator=200, second_operator=200),
    Row("accounts:cluster_new", 404, post=NEW, **OPERATORS),
    Row("accounts:cluster_new", 404, post={}, operator=422, second_operator=422),
    Row("accounts:cluster_edit", 404, args=cluster_name, operator=200, second_operator=200),
    Row("accounts:cluster_edit", 404, args=cluster_name, post=WORDS, **OPERATORS),
    Row("accounts:cluster_retire", 404, args=cluster_name, operator=200, second_operator=200),
    Row("accounts:cluster_retire", 404, args=cluster_name, post={"reason": "x"}, **OPERATORS),
    Row("accounts:cluster_reinstate", 404, args=cluster_name, post={}, **OPERATORS),
    Row("accounts:cluster_switch_off", 404, args=cluster_name, post={}, **OPERATORS),
    Row("accounts:clusters", 404, **READERS),
    Row("accounts:card", 404, **dict.fromkeys(READERS, 204)),
    Row("accounts:cluster", 404, args=cluster_name, **READERS),
    Row("accounts:cluster_live", 404, args=cluster_name, **READERS),
    Row("accounts:repair", 404, args=cluster_name, operator=302, second_operator=302),
    Row("accounts:apply", 404, args=cluster_name, post={"digest": "x"}, operator=302, second_operator=302),
]
