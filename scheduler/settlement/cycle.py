"""The steps of a cluster's cycle, in their order. A step that fails is logged, noted and does not stop the others."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db import InterfaceError, OperationalError
from django.db.models import F

from portal.clock import now
from portal.locks import LockSpace, held_if_free
from portal.outbox.services import messages_deliver
from scheduler.accounts.services import accounts_cycle
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError
from scheduler.clusters.models import Cluster
from scheduler.clusters.services import Look, snapshot_take
from scheduler.datasets.services.groups import groups_cycle
from scheduler.jobs.worker.cycle import cluster_away, jobs_cycle
from scheduler.settlement.models import CycleStep
from scheduler.settlement.services.outside import outside_cover
from scheduler.settlement.services.reading import records_settle
from scheduler.settlement.services.reconciling import reconcile_if_due
from scheduler.settlement.services.waiting import waiting_follow

logger = logging.getLogger(__name__)


def cycle_lock(cluster: Cluster) -> AbstractContextManager[bool]:
    """One cycle of a cluster at a time, in all processes: a session lock, which ends with its process."""
    return held_if_free(LockSpace.CYCLE, cluster.pk)


def cycle_run(cluster: Cluster, adapter: ClusterAdapter) -> None:
    """One cycle, under `cycle_lock`. Raises OperationalError or InterfaceError where PostgreSQL is away."""
    looks: list[Look] = []
    _step(cluster, "snapshot", lambda: looks.append(snapshot_take(cluster=cluster, adapter=adapter)))
    if not looks:
        cluster_away(cluster.name)
        return  # every step below would wait for slurmctld's timeout and learn nothing
    look = looks[0]
    queue = look.queue
    steps: list[tuple[str, Callable[[], object]]] = [
        ("outbox", lambda: messages_deliver(queue=f"cluster.{cluster.name}")),
        ("jobs", lambda: jobs_cycle(cluster.name, queue, look.status, adapter=adapter)),
        ("outside", lambda: outside_cover(cluster=cluster, queue=queue)),
        ("settle", lambda: records_settle(cluster=cluster, adapter=adapter, look=look)),
        ("waiting", lambda: waiting_follow(cluster=cluster, adapter=adapter, queue=queue)),
        ("accounts", lambda: accounts_cycle(cluster.name, adapter=adapter)),
        ("data_sets", lambda: groups_cycle(cluster.name)),
        ("reconcile", lambda: reconcile_if_due(cluster=cluster, adapter=adapter)),
    ]
    for name, work in steps:
        _step(cluster, name, work)


def _step(cluster: Cluster, name: str, work: Callable[[], object]) -> None:
    began_at, began = now(), time.monotonic()
    error = ""
    try:
        work()
    except (OperationalError, InterfaceError):
        raise  # the connection is gone, and the lock with it: another cycle may have begun
    except ClusterError as failure:
        error = str(failure) or type(failure).__name__
        logger.warning("cycle: %s: %s: %s", cluster.name, name, error)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        logger.exception("cycle: %s: %s failed", cluster.name, name)
    duration_s = time.monotonic() - began
    noted = {"ran_at": began_at, "duration_s": duration_s, "error": error[:400]}
    if error:
        defaults = noted | {"failures": F("failures") + 1}
        first = noted | {"failures": 1}
    else:
        defaults = first = noted | {"failures": 0, "succeeded_at": now()}
    CycleStep.objects.update_or_create(cluster=cluster, step=name, defaults=defaults, create_defaults=first)
