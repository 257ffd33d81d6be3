"""What a cluster's worker writes down of what it saw. The web reads only these rows."""

from dataclasses import asdict, dataclass

from django.db import IntegrityError, transaction

from portal.clock import now
from scheduler.clusters.adapters.limits import ReservationInfo
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, ControllerStatus, PartitionInfo, QueueJob
from scheduler.clusters.errors import ShareFixed, ShareUsed
from scheduler.clusters.models import Cluster, GpuSlice, Partition, QosRule, Reservation, Snapshot
from scheduler.clusters.occupancy import occupancy_of


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a cluster: what the other steps of a cycle work from, so that Slurm is asked once."""

    status: ControllerStatus
    queue: list[QueueJob]


def cluster_register(*, name: str, title: str, account_prefix: str = "sl-", overshoot_s: int = 60) -> Cluster:
    """Makes a cluster known to the portal; one that is known already is answered as it stands.

    overshoot_s: by how many seconds Slurm may let a job run past its limit (polling of limits + KillWait); holds and
    the published bound count with it.
    """
    return Cluster.objects.get_or_create(
        name=name,
        defaults={"title": title, "account_prefix": account_prefix, "overshoot_s": overshoot_s, "created_at": now()},
    )[0]


def snapshot_take(*, cluster: Cluster, adapter: ClusterAdapter) -> Look:
    """Looks at the cluster and stores what the pages show. Raises ClusterError, after noting that it did not answer."""
    try:
        status = adapter.controller_status()
        nodes, partitions, queue = adapter.nodes(), adapter.partitions(), adapter.queue()
        reservations = adapter.reservations()
    except ClusterError as error:
        # What was seen last stays, with its time: an old look is better than none, as long as it says so.
        Snapshot.objects.update_or_create(
            cluster=cluster,
            defaults={"reachable": False, "error": str(error)},
            create_defaults={"reachable": False, "error": str(error), "taken_at": now()},
        )
        raise
    counts = [job.state == "PENDING" for job in queue]
    seen_at = now()
    seen = occupancy_of(nodes, partitions, queue, seen_at=seen_at, clock_ahead_s=status.clock_ahead_s)
    with transaction.atomic():
        Snapshot.objects.update_or_create(
            cluster=cluster,
            defaults={
                "taken_at": seen_at,
                "reachable": True,
                "error": "",
                "slurmctld_booted_at": status.booted_at,
                "slurmdbd_queue": status.dbd_queue,
                "nodes": [asdict(node) for node in nodes],
                "occupancy": seen.as_json(),
                "pending_jobs": sum(counts),
                "running_jobs": len(counts) - sum(counts),
            },
        )
        _partitions_store(cluster, partitions)
        _reservations_store(cluster, reservations)
    return Look(status=status, queue=queue)


def _partitions_store(cluster: Cluster, partitions: list[PartitionInfo]) -> None:
    moment = now()
    Partition.objects.bulk_create(
        [
            Partition(
                cluster=cluster,
                name=partition.name,
                gpu_type=partition.gpu_type,
                nodes=partition.nodes,
                gpus_per_node=partition.gpus_per_node,
                max_time_s=partition.max_time_s,
                default_time_s=partition.default_time_s,
                cpus_per_gpu=partition.cpus_per_gpu,
                memory_mb_per_gpu=partition.memory_mb_per_gpu,
                cpus_per_node=partition.cpus_per_node,
                is_up=partition.is_up,
                read_at=moment,
            )
            for partition in partitions
        ],
        update_conflicts=True,
        unique_fields=["cluster", "name"],
        update_fields=[
            *("gpu_type", "nodes", "gpus_per_node", "max_time_s", "default_time_s"),
            *("cpus_per_gpu", "memory_mb_per_gpu", "cpus_per_node", "is_up", "read_at"),
        ],
    )
    # One that is gone stays as down: allocations and old jobs still name it.
    cluster.partitions.exclude(name__in=[partition.name for partition in partitions]).update(is_up=False)


def _reservations_store(cluster: Cluster, seen: list[ReservationInfo]) -> None:
    """As they are now: one that ended or was deleted goes."""
    moment = now()
    Reservation.objects.bulk_create(
        [
            Reservation(
                cluster=cluster,
                name=one.name,
                partition=one.partition,
                starts_at=one.starts_at,
                ends_at=one.ends_at,
                nodes=one.nodes,
                gpus=one.gpus,
                accounts=list(one.accounts),
                users=list(one.users),
                is_maintenance=one.is_maintenance,
                read_at=moment,
            )
            for one in seen
        ],
        update_conflicts=True,
        unique_fields=["cluster", "name"],
        update_fields=[
            *("partition", "starts_at", "ends_at", "nodes", "gpus"),
            *("accounts", "users", "is_maintenance", "read_at"),
        ],
    )
    cluster.reservations.exclude(name__in=[one.name for one in seen]).delete()


# --- what is data and not Slurm's to say --------------------------------------------------------------------------


def gpu_slice_add(*, gpu_type: str, parent: str, parts: int, whole: int) -> GpuSlice:
    """Makes a slice of a GPU known: its jobs use the parent's allocations at parts/whole of a GPU-second.

    The same again is answered as it stands. Raises ShareFixed where it is known with another share or parent: what was
    charged with a share stays comparable with it.
    """
    row, _made = GpuSlice.objects.get_or_create(
        gpu_type=gpu_type.lower(),
        defaults={"parent": parent.lower(), "parts": parts, "whole": whole, "created_at": now()},
    )
    if (row.parent, row.parts, row.whole) != (parent.lower(), parts, whole):
        raise ShareFixed(row.gpu_type, f"{row.parts}/{row.whole}", row.parent)
    return row


def gpu_slice_forget(*, gpu_type: str) -> None:
    """Takes a share back that was mistyped. Forgotten twice is forgotten. Raises ShareUsed once jobs have used it."""
    try:
        with transaction.atomic():
            GpuSlice.objects.filter(gpu_type=gpu_type).delete()
    except IntegrityError as error:
        raise ShareUsed(gpu_type) from error


def qos_rule_set(
    *, cluster: Cluster, kind: str, time_limit_s: int, jobs: int, queued: int, cpus: int = 0, gpus: int = 0
) -> QosRule:
    """What one person may have at once on the CPU partition, or on a sandbox allocation. Counts in the next cycle."""
    row, _made = QosRule.objects.update_or_create(
        cluster=cluster,
        kind=kind,
        defaults={"time_limit_s": time_limit_s, "jobs": jobs, "queued": queued, "cpus": cpus, "gpus": gpus},
    )
    return row
