"""What operators say about a cluster that Slurm cannot say: shares of slices, and what one person may have at once.

The accounts plan reads these rows in its next cycle; it shows what of them changes Slurm, and applies it.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit.context import acting
from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.clusters.errors import NoCpuPartition, SliceRefused
from scheduler.clusters.models import Cluster, GpuSlice, Partition, QosRule
from scheduler.clusters.qos_rules import SANDBOX_LIMITS, PersonLimits, own_limits
from scheduler.clusters.services import gpu_slice_add, gpu_slice_forget, qos_rule_set
from scheduler.clusters.slices import Share, Slices, slices_read

# What NVIDIA calls a slice ends so: 1g.10gb, 3g.40gb. Slurm's gres.conf mostly keeps that in the type's name.
_MIG_FORM = re.compile(r"\d+g\.\d+gb")
HISTORY_SHOWN = 10


# --- slices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TypeSeen:
    """A GPU type of a cluster's partitions. `looks_cut`: its name says that it is a slice, and no share is known."""

    gpu_type: str
    partitions: tuple[str, ...]
    share: Share | None
    looks_cut: bool


def types_seen(cluster: Cluster) -> list[TypeSeen]:
    """Whole GPUs first."""
    slices = slices_read()
    by_type: dict[str, list[str]] = {}
    for gpu_type, name in Partition.objects.filter(cluster=cluster).order_by("name").values_list("gpu_type", "name"):
        if gpu_type:
            by_type.setdefault(gpu_type, []).append(name)
    rows = [
        TypeSeen(
            gpu_type=gpu_type,
            partitions=tuple(names),
            share=slices.get(gpu_type),
            looks_cut=slices.get(gpu_type) is None and bool(_MIG_FORM.search(gpu_type)),
        )
        for gpu_type, names in by_type.items()
    ]
    return sorted(rows, key=lambda row: (row.share is not None or row.looks_cut, row.gpu_type))


def slice_choices(seen: list[TypeSeen]) -> list[str]:
    """What could be made known as a slice: those whose name says so first."""
    return [row.gpu_type for row in sorted(seen, key=lambda row: not row.looks_cut) if row.share is None]


def slice_add(*, gpu_type: str, parent: str, parts: int, whole: int, person: User) -> GpuSlice:
    """Makes a slice known; once a job has used it for ever, so that what was charged stays comparable with its share.

    Raises SliceRefused, ShareFixed.
    """
    gpu_type, parent = gpu_type.lower(), parent.lower()
    _check_slice(gpu_type, parent, parts, whole, slices_read())
    with transaction.atomic(), acting(person, "slice_add"):
        return gpu_slice_add(gpu_type=gpu_type, parent=parent, parts=parts, whole=whole)


def slice_forget(*, gpu_type: str, person: User) -> None:
    """Raises ShareUsed."""
    with acting(person, "slice_forget"):
        gpu_slice_forget(gpu_type=gpu_type)


def _check_slice(gpu_type: str, parent: str, parts: int, whole: int, known: Slices) -> None:
    if parts >= whole:
        raise SliceRefused(SliceRefused.Why.NOT_LESS)
    if parent == gpu_type or known.get(parent) is not None:
        raise SliceRefused(SliceRefused.Why.PARENT_IS_A_SLICE, parent)
    if len(known.of_parent(gpu_type)) > 1:
        raise SliceRefused(SliceRefused.Why.HAS_SLICES, gpu_type)
    if known.get(gpu_type) is None and Allocation.objects.filter(gpu_type=gpu_type).exists():
        raise SliceRefused(SliceRefused.Why.HAS_ALLOCATIONS, gpu_type)


# --- what one person may have at once ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RuleSeen:
    """`limits` None: nobody may (the CPU partition without a rule). `is_own`: set here, not the portal's default."""

    kind: str
    label: str
    limits: PersonLimits | None
    is_own: bool


def rules_seen(cluster: Cluster) -> list[RuleSeen]:
    own = own_limits(cluster)
    default = {QosRule.Kind.SANDBOX.value: SANDBOX_LIMITS}
    return [
        RuleSeen(
            kind=kind.value,
            label=str(kind.label),
            limits=own.get(kind.value, default.get(kind.value)),
            is_own=kind.value in own,
        )
        for kind in QosRule.Kind
    ]


def rule_keep(*, cluster: Cluster, kind: str, limits: PersonLimits, person: User) -> None:
    """Raises NoCpuPartition: a rule for what the cluster does not have helps nobody."""
    if kind == QosRule.Kind.CPU and not _has_cpu_partition(cluster):
        raise NoCpuPartition
    with transaction.atomic(), acting(person, "rule_keep"):
        qos_rule_set(
            cluster=cluster,
            kind=kind,
            time_limit_s=limits.time_limit_s,
            jobs=limits.jobs,
            queued=limits.queued,
            cpus=limits.cpus if kind == QosRule.Kind.CPU else 0,
            gpus=limits.gpus if kind == QosRule.Kind.SANDBOX else 0,
        )


def rule_drop(*, cluster: Cluster, kind: str, person: User) -> None:
    """The portal's default counts again; of the CPU partition that is: nobody. Again: nothing."""
    with transaction.atomic(), acting(person, "rule_drop"):
        QosRule.objects.filter(cluster=cluster, kind=kind).delete()


def _has_cpu_partition(cluster: Cluster) -> bool:
    return Partition.objects.filter(cluster=cluster, nodes__gt=0, gpus_per_node=0).exists()


# --- who changed them -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RuleChange:
    at: datetime
    who: str  # a person, or the process that did it
    label: str  # created, changed, deleted
    kind: str
    limits: PersonLimits


def rules_history(cluster: Cluster) -> list[RuleChange]:
    """The last changes, the newest first; all of them are on the history's own page. Two queries."""
    events: Any = QosRule.pgh_event_model  # type: ignore[attr-defined]  # pghistory made it
    rows = list(events.objects.filter(cluster=cluster).order_by("-pgh_id")[:HISTORY_SHOWN])
    people = User.objects.in_bulk({(row.pgh_context or {}).get("user") for row in rows} - {None})
    return [
        RuleChange(
            at=row.pgh_created_at,
            who=str(people.get((row.pgh_context or {}).get("user"), (row.pgh_context or {}).get("process", ""))),
            label=row.pgh_label,
            kind=str(QosRule.Kind(row.kind).label),
            limits=PersonLimits(row.time_limit_s, row.jobs, row.queued, row.cpus, row.gpus),
        )
        for row in rows
    ]
