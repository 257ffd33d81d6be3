"""Asking the cluster's worker to apply what an operator saw. The web itself changes no group."""

from django.db import transaction

from portal.audit.context import acting
from portal.outbox.services import message_write
from portal.people.models import User
from quotas.actors import actor_key
from scheduler.clusters.models import Cluster
from scheduler.datasets.errors import PlanChanged
from scheduler.datasets.models import StoredGroups

TOPIC = "datasets.apply"


def groups_application_ask(*, cluster: Cluster, digest: str, actor: User) -> None:
    """The worker applies the plan with as many removals as the person saw, and no more. Raises PlanChanged."""
    with transaction.atomic(), acting(actor, "groups_application_ask"):
        stored = StoredGroups.objects.select_for_update().filter(cluster=cluster, digest=digest).first()
        if stored is None:
            raise PlanChanged
        message_write(
            topic=TOPIC,
            key=f"{cluster.name}:{digest[:16]}:{stored.made_at:%Y%m%dT%H%M%S}",
            payload={
                "cluster": cluster.name,
                "removals_cap": removals_count(stored),
                "actor": actor_key(actor),
            },
            queue=f"cluster.{cluster.name}",
        )


def removals_count(stored: StoredGroups) -> int:
    return sum(len(action["remove"]) for action in stored.actions)
