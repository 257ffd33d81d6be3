"""What others change by hand, with who and when: slurmdbd writes down every change, sacctmgr shows it.

The cycle repairs what differs from the plan within seconds; without this nobody would learn that somebody works against
the portal, or why a change of theirs does not last.
"""

import logging
from datetime import datetime, timedelta

from portal.clock import now
from scheduler.accounts.models import OutsideChange, StoredPlan
from scheduler.accounts.plan import Kind, Plan, Verb
from scheduler.accounts.selectors import owned_names
from scheduler.clusters.adapters import ClusterAdapter
from scheduler.clusters.adapters.protocol import ClusterError, ClusterUnreachable
from scheduler.clusters.models import Cluster

logger = logging.getLogger(__name__)
LOOK_EVERY = timedelta(minutes=10)  # where there is nothing to repair
OVERLAP = timedelta(hours=1)  # slurmdbd's clock may differ; what was read twice is known by its number
FIRST = timedelta(days=1)
ROWS_MOST = 1_000  # of a cluster


def outside_look(cluster: Cluster, plan: Plan, slurm: ClusterAdapter) -> datetime | None:
    """Stores what others did to accounts and QOS of ours since the last look; answers up to when that is known.

    Asked where the plan has something to do, else every ten minutes. A slurmdbd that does not say is no reason not to
    repair. Raises ClusterUnreachable.
    """
    last = StoredPlan.objects.filter(cluster=cluster).values_list("outside_read_at", flat=True).first()
    moment = now()
    if last is not None and not plan.actions and moment - last < LOOK_EVERY:
        return last
    try:
        found = slurm.changes_by_others(since=(last - OVERLAP) if last is not None else moment - FIRST)
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        logger.warning("%s: changes by others are not known: %s", cluster.name, error)
        return last
    owned = owned_names(cluster)
    ours, touched = owned.accounts | owned.qos, objects_of(plan)
    gone_qos = {row.key[0] for row in plan.of(Verb.ADD) if row.kind == Kind.QOS} & owned.qos
    rows = []
    for change in found:
        # Of a removed QOS slurmdbd shows a number; those of ours that are to be made again were there before.
        names = sorted(ours & change.words | (gone_qos if change.verb == "Remove QOS" else set()))
        if names:
            rows.append(
                OutsideChange(
                    cluster=cluster,
                    number=change.number,
                    at=change.at,
                    actor=change.actor[:64],
                    verb=change.verb[:40],
                    what=change.what,
                    names=names,
                    differs=bool(touched & set(names)),
                    seen_at=moment,
                )
            )
    OutsideChange.objects.bulk_create(rows, ignore_conflicts=True)
    old = OutsideChange.objects.filter(cluster=cluster).values_list("pk", flat=True)[ROWS_MOST : ROWS_MOST + 500]
    OutsideChange.objects.filter(pk__in=list(old)).delete()
    return moment


def outside_follow(cluster: Cluster, left: Plan) -> None:
    """Those whose objects were read back as the portal wants them are repaired."""
    touched = objects_of(left)
    waiting = OutsideChange.objects.filter(cluster=cluster, differs=True, repaired_at=None)
    done = [row.pk for row in waiting if not touched & set(row.names)]
    if done:
        OutsideChange.objects.filter(pk__in=done).update(repaired_at=now())


def objects_of(plan: Plan) -> set[str]:
    """Accounts and QOS with which the plan has something to do; a member's line counts for the account."""
    return {action.key[0] for action in plan.actions}
