"""The rows of clusters, as operators keep them: which there are, what they are called, which are retired."""

import re

from django.db import IntegrityError, transaction

from portal.audit.context import acting
from portal.clock import now
from portal.people.models import User
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import allocation_balances
from quotas.clusters import Known
from quotas.units import gpu_hours_text
from scheduler.clusters.errors import NameTaken, StillInUse
from scheduler.clusters.models import Cluster, Snapshot

NAME_FORM = r"[a-z][a-z0-9_-]{0,39}"  # Slurm's ClusterName is in lower case
PREFIX_FORM = r"[a-z][a-z0-9]{0,9}-"
_ADDRESSES = {"new", "card", "nodes-out"}  # pages beside the clusters' own


def clusters_known() -> dict[str, Known]:
    """For quotas (`quotas.clusters`), which knows of clusters only what it is told."""
    return {row.name: Known(row.title, row.takes_new) for row in Cluster.objects.order_by("name")}


def cluster_add(
    *, name: str, title: str, about: str, account_prefix: str, overshoot_s: int, removals_cap: int, person: User
) -> Cluster:
    """Makes a cluster known. Its worker follows it once the worker's configuration names it. Raises
    NameTaken."""
    if not re.fullmatch(NAME_FORM, name) or name in _ADDRESSES:
        raise NameTaken
    if not re.fullmatch(PREFIX_FORM, account_prefix):
        raise ValueError(f"not the beginning of an account's name: {account_prefix!r}")
    try:
        with transaction.atomic(), acting(person, "cluster_add"):
            return Cluster.objects.create(
                name=name,
                title=title,
                about=about,
                account_prefix=account_prefix,
                overshoot_s=overshoot_s,
                removals_cap=removals_cap,
                created_at=now(),
            )
    except IntegrityError as error:
        raise NameTaken from error


def cluster_change(
    *, cluster: Cluster, title: str, about: str, overshoot_s: int, removals_cap: int, person: User
) -> None:
    """Words and caps. The name and the beginning of accounts' names stand: they are in Slurm."""
    with transaction.atomic(), acting(person, "cluster_change"):
        Cluster.objects.filter(pk=cluster.pk).update(
            title=title, about=about, overshoot_s=overshoot_s, removals_cap=removals_cap
        )


def cluster_retire(*, cluster: Cluster, reason: str, person: User) -> None:
    """Nothing new goes there from now on; what waits and runs goes on, and balances can be moved away. Again:
    nothing."""
    with transaction.atomic(), acting(person, f"cluster_retire: {reason}"):
        rows = Cluster.objects.filter(pk=cluster.pk, retired_at=None)
        rows.update(retired_at=now(), retired_reason=reason)


def cluster_reinstate(*, cluster: Cluster, person: User) -> None:
    """Takes a retired cluster, or one that was switched off, back into service."""
    with transaction.atomic(), acting(person, "cluster_reinstate"):
        Cluster.objects.filter(pk=cluster.pk).update(retired_at=None, retired_reason="", is_active=True)


def cluster_switch_off(*, cluster: Cluster, person: User) -> None:
    """Its worker stops following it. Raises StillInUse while anything there could still be charged."""
    jobs, left_gpu_seconds = in_use(cluster)
    if jobs or left_gpu_seconds or cluster.retired_at is None:
        raise StillInUse(jobs=jobs, gpu_hours=gpu_hours_text(left_gpu_seconds))
    with transaction.atomic(), acting(person, "cluster_switch_off"):
        Cluster.objects.filter(pk=cluster.pk).update(is_active=False)


def in_use(cluster: Cluster) -> tuple[int, int]:
    """Jobs that the last look showed, and GPU-seconds that its allocations still have, held ones included."""
    counts = Snapshot.objects.filter(cluster=cluster).values_list("pending_jobs", "running_jobs").first() or (0, 0)
    rows = Allocation.objects.filter(cluster=cluster.name, imported=False).values_list("pk", flat=True)
    return sum(counts), sum(row.remaining + row.held for row in allocation_balances(rows).values())
