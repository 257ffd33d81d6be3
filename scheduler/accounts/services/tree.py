"""Looking at slurmdbd's tree of accounts before anything is cut out of it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.clock import now
from scheduler.accounts.models import StoredPlan
from scheduler.accounts.plan import Action, Kind, Plan, Verb
from scheduler.accounts.tree import tree_faults
from scheduler.clusters.adapters import ClusterAdapter
from scheduler.clusters.adapters.protocol import ClusterError, ClusterUnreachable
from scheduler.clusters.models import Cluster

logger = logging.getLogger(__name__)
LOOK_EVERY = timedelta(minutes=10)  # where nothing is to be removed: an operator shall see a fault before that


@dataclass(frozen=True)
class TreeLook:
    faults: tuple[str, ...] = ()
    at: datetime | None = None


def cuts_tree(action: Action) -> bool:
    """Removals, and accounts that move: what slurmdbd does by intervals."""
    return action.verb == Verb.REMOVE or (action.kind == Kind.ACCOUNT and action.verb == Verb.CHANGE)


def tree_look(cluster: Cluster, plan: Plan, slurm: ClusterAdapter) -> TreeLook:
    """Always before a removal, else every ten minutes. A tree that cannot be read is not sound.

    Raises ClusterUnreachable.
    """
    last = StoredPlan.objects.filter(cluster=cluster).only("tree_faults", "tree_checked_at").first()
    is_fresh = last is not None and last.tree_checked_at is not None and now() - last.tree_checked_at < LOOK_EVERY
    if last is not None and is_fresh and not any(cuts_tree(action) for action in plan.actions):
        return TreeLook(tuple(last.tree_faults), last.tree_checked_at)
    try:
        nodes = slurm.tree()
        faults = tree_faults(nodes) if nodes is not None else []
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        faults = [str(error)]
    if faults:
        logger.error("%s: slurmdbd's tree of accounts is not sound: %s", cluster.name, "; ".join(faults[:5]))
    return TreeLook(tuple(faults), now())
