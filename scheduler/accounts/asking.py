"""Asking the cluster's worker to apply what an operator saw. The web itself never talks to Slurm."""

from hashlib import sha256

from django.db import transaction

from portal.audit.context import acting
from portal.outbox.services import message_write
from portal.people.models import User
from quotas.actors import actor_key
from scheduler.accounts.errors import PlanChanged
from scheduler.accounts.models import StoredPlan
from scheduler.accounts.selectors import action_of
from scheduler.accounts.words import removals_count
from scheduler.clusters.models import Cluster


def plan_application_ask(*, cluster: Cluster, digest: str, actor: User, only: tuple[str, str] | None = None) -> None:
    """The worker applies the plan with as many removals as the person saw, and no more; `only` one object of it.

    Raises PlanChanged.
    """
    with transaction.atomic(), acting(actor, "plan_application_ask"):
        stored = StoredPlan.objects.select_for_update().filter(cluster=cluster, digest=digest).first()
        if stored is None:
            raise PlanChanged
        key = f"{cluster.name}:{digest[:16]}:{stored.made_at:%Y%m%dT%H%M%S}"
        payload: dict[str, object] = {
            "cluster": cluster.name, "removals_cap": removals_count(stored), "actor": actor_key(actor)
        }  # fmt: skip
        if only is not None:
            if action_of(stored, *only) is None:
                raise PlanChanged
            key += f":{sha256('/'.join(only).encode()).hexdigest()[:12]}"
            payload |= {"removals_cap": 1, "only": list(only)}
        message_write(
            topic="accounts.apply",
            key=key,
            payload=payload,
            queue=f"cluster.{cluster.name}",
        )
