from portal.outbox.errors import Later
from portal.outbox.models import Message
from portal.outbox.registry import handler
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
