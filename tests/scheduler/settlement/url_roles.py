from tests.urls.roles import Row, World


def prepare(world: World) -> None:
    from portal.clock import now
    from scheduler.clusters.models import Cluster
    from scheduler.settlement.models import Reconciliation

    cluster, _ = Cluster.objects.get_or_create(name="local", defaults={"title": "Cụm thử", "created_at": now()})
    zero = dict.fromkeys(
        (
            *("records", "charged_gpu_seconds", "slurmdbd_gpu_seconds", "residual_gpu_seconds"),
            *("imported_gpu_seconds", "overrun_gpu_seconds", "differences_count"),
        ),
        0,
    )
    world.roles_reconciliation = Reconciliation.objects.create(cluster=cluster, taken_at=now(), duration_s=1, **zero)


def reconciliation(world: World) -> list[int]:
    return [world.roles_reconciliation.pk]


ROWS = [
    Row("settlement:reconciliation", 404, operator=200, second_operator=200, approver=200, auditor=200),
    Row("settlement:keep", 404, args=reconciliation, post={"reason": "x"}, operator=302, second_operator=302),
]
