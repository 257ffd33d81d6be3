from portal.outbox.errors import Later
from portal.outbox.models import Message
from portal.outbox.registry import handler
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services.moves import LOWER_TOPIC, RAISE_TOPIC
from scheduler.accounts.plan import Kind
from scheduler.accounts.services import cluster_apply
from scheduler.accounts.services.cycle import AnotherApplies
from scheduler.clusters.models import Cluster


@handler("accounts.apply")
def plan_apply_asked(message: Message) -> None:
    """An operator asked to apply the plan with the removals that they saw."""
    payload = message.payload
    kind, name = payload.get("only") or ("", "")
    cluster = Cluster.objects.get(name=payload["cluster"])
    try:
        cluster_apply(
            cluster=cluster,
            removals_cap=payload["removals_cap"],
            actor=payload["actor"],
            only=(kind, name) if kind else None,
        )
    except AnotherApplies as error:
        raise Later(5, "another process applies a plan to the cluster") from error


LOOK_AGAIN_S = 5


@handler(LOWER_TOPIC)
def move_lower(message: Message) -> None:
    """The first half of a move to another cluster, in the worker of the one that it leaves: its limit is lowered and
    read back, and the GPU-seconds leave the allocation with that."""
    row = _move(message)
    if row.state == Withdrawal.State.REQUESTED:
        _limit_apply(row.allocation, f"worker:cluster.{row.allocation.cluster}")
        row.refresh_from_db(fields=["state"])
    if row.state == Withdrawal.State.REQUESTED:
        raise Later(LOOK_AGAIN_S, "the lower limit is not in force yet")


@handler(RAISE_TOPIC)
def move_raise(message: Message) -> None:
    """The second half, in the worker of the one that it goes to: taken in, then its limit is raised and read back."""
    row = _move(message)
    assert row.target is not None
    if _waits_for_its_limit(row):
        _limit_apply(row.target, f"worker:cluster.{row.target.cluster}")
        row.refresh_from_db(fields=["state", "raised_at"])
    if _waits_for_its_limit(row):
        raise Later(LOOK_AGAIN_S, "the higher limit is not in force yet")


def _move(message: Message) -> Withdrawal:
    return Withdrawal.objects.select_related("allocation", "target").get(pk=message.payload["move"])


def _waits_for_its_limit(row: Withdrawal) -> bool:
    return row.raised_at is None and row.state in (Withdrawal.State.MOVING, Withdrawal.State.CONFIRMED)


def _limit_apply(allocation: Allocation, actor: str) -> None:
    """Raises Later, ClusterError."""
    cluster = Cluster.objects.get(name=allocation.cluster)
    try:
        cluster_apply(cluster=cluster, removals_cap=0, actor=actor, only=(Kind.QOS, allocation.qos))
    except AnotherApplies as error:
        raise Later(LOOK_AGAIN_S, "another process applies a plan to the cluster") from error
