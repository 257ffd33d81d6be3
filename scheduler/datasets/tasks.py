from portal.outbox.errors import Later
from portal.outbox.models import Message
from portal.outbox.registry import handler
from scheduler.clusters.models import Cluster
from scheduler.datasets.asking import TOPIC
from scheduler.datasets.services.groups import AnotherApplies, groups_apply


@handler(TOPIC)
def groups_apply_asked(message: Message) -> None:
    """An operator asked to apply the plan of the groups with the removals that they saw."""
    payload = message.payload
    try:
        groups_apply(
            cluster=Cluster.objects.get(name=payload["cluster"]),
            removals_cap=payload["removals_cap"],
            actor=payload["actor"],
        )
    except AnotherApplies as error:
        raise Later(5, "another process applies a plan to the cluster") from error
