"""Asking the cluster's worker to apply what an operator saw. The web itself never talks to Slurm."""

from django.db import transaction

from portal.audit.context import acting
from portal.outbox.services import message_write
from portal.people.models import User
from quotas.actors import actor_key
from scheduler.accounts.errors import PlanChanged
from scheduler.accounts.models import StoredPlan
from scheduler.accounts.words import removals_count
from scheduler.clusters.models import Cluster


def plan_application_ask(*, cluster: Cluster, digest: str, actor: User) -> None:
    """The worker applies the plan with as many removals as the person saw, and no more. Raises PlanChanged."""
    with transaction.atomic(), acting(actor, "plan_application_ask"):
        stored = StoredPlan.objects.select_for_update().filter(cluster=cluster, digest=digest).first()
        if stored is None:
            raise PlanChanged
        message_write(
            topic="accounts.apply",
            key=f"{cluster.name}:{digest[:16]}:{stored.made_at:%Y%m%dT%H%M%S}",
            payload={"cluster": cluster.name, "removals_cap": removals_count(stored), "actor": actor_key(actor)},
            queue=f"cluster.{cluster.name}",
        )
