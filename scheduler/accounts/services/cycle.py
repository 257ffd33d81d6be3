import hashlib
import json
from datetime import datetime

from portal.audit.context import acting
from portal.clock import now
from portal.locks import LockSpace, held_if_free
from scheduler.accounts.models import StoredPlan
from scheduler.accounts.plan import Action
from scheduler.accounts.services.applying import Applied, plan_apply
from scheduler.accounts.services.moving import moves_read_back, moves_take_in
from scheduler.accounts.services.outside import outside_follow, outside_look
from scheduler.accounts.services.planning import plan_make
from scheduler.clusters.adapters import ClusterAdapter, adapter_for
from scheduler.clusters.models import Cluster

LOCK_WAIT_S = 60.0
# The cycle's other steps follow jobs and must not wait for long; the first application to a big cluster takes several
# cycles (about 50 changes each).
CYCLE_BUDGET_S = 20.0


class AnotherApplies(Exception):
    """Another process has been applying a plan to this cluster for a minute."""


def accounts_cycle(cluster_name: str, *, adapter: ClusterAdapter | None = None) -> Applied | None:
    """A cycle's part: limits and additions, and removals within the cluster's cap. None: another process is at it.

    Raises ClusterError where Slurm does not answer.
    """
    cluster = Cluster.objects.get(name=cluster_name)
    with held_if_free(LockSpace.CLUSTER_PLAN, cluster.pk) as mine:
        if not mine:
            return None
        actor = f"worker:cluster.{cluster.name}"
        return _apply(cluster, cluster.removals_cap, adapter, actor, budget_s=CYCLE_BUDGET_S)


def cluster_apply(
    *,
    cluster: Cluster,
    removals_cap: int,
    actor: str,
    only: tuple[str, str] | None = None,
    adapter: ClusterAdapter | None = None,
) -> Applied:
    """The same on demand, with a cap of its own, for all or `only` one object (kind, name).

    Raises AnotherApplies and ClusterError.
    """
    with held_if_free(LockSpace.CLUSTER_PLAN, cluster.pk, wait_s=LOCK_WAIT_S) as mine:
        if not mine:
            raise AnotherApplies(cluster.name)
        return _apply(cluster, removals_cap, adapter, actor, budget_s=float("inf"), only=only)


def _apply(
    cluster: Cluster,
    removals_cap: int,
    adapter: ClusterAdapter | None,
    actor: str,
    *,
    budget_s: float,
    only: tuple[str, str] | None = None,
) -> Applied:
    slurm = adapter or adapter_for(cluster.name)
    with acting(actor, "cluster_apply"):
        arrived = moves_take_in(cluster, slurm)
        made = plan_make(cluster=cluster, adapter=slurm)
        outside_read_at = outside_look(cluster, made, slurm)
        asked = made if only is None else made.only(*only)
        applied = plan_apply(cluster=cluster, plan=asked, removals_cap=removals_cap, adapter=slurm, budget_s=budget_s)
        moves_read_back(arrived, made.limits, applied.usage)
        if applied.left is asked:
            applied.left = made
        outside_follow(cluster, applied.left)
        _store(cluster, applied, outside_read_at)
    return applied


def _store(cluster: Cluster, applied: Applied, outside_read_at: datetime | None) -> None:
    actions = [_action_json(action) for action in applied.left.actions]
    facts: dict[str, object] = {
        "made_at": now(),
        "actions": actions,
        "notes": [note.as_json() for note in applied.left.notes],
        "errors": applied.errors[:50],
        "removals_withheld": applied.removals_withheld,
        "tree_faults": list(applied.tree.faults),
        "tree_checked_at": applied.tree.at,
        "outside_read_at": outside_read_at,
        "digest": hashlib.sha256(json.dumps(actions, sort_keys=True).encode()).hexdigest(),
    }
    if applied.done:
        facts |= {"applied_at": now(), "applied_changes": len(applied.done)}
    StoredPlan.objects.update_or_create(cluster=cluster, defaults=facts)


def _action_json(action: Action) -> dict[str, object]:
    return {
        "verb": action.verb,
        "kind": action.kind,
        "name": action.name,
        "is_blocked": action.is_blocked,
        "changes": [change.as_json() for change in action.changes],
    }
