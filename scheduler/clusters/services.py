"""What a cluster's worker writes down of what it saw. The web reads only these rows."""

from dataclasses import asdict, dataclass

from django.db import transaction

from portal.clock import now
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, ControllerStatus, PartitionInfo, QueueJob
from scheduler.clusters.models import Cluster, Partition, Snapshot
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
                is_up=partition.is_up,
                read_at=moment,
            )
            for partition in partitions
        ],
        update_conflicts=True,
        unique_fields=["cluster", "name"],
        update_fields=["gpu_type", "nodes", "gpus_per_node", "max_time_s", "default_time_s", "is_up", "read_at"],
    )
    # One that is gone stays as down: allocations and old jobs still name it.
    cluster.partitions.exclude(name__in=[partition.name for partition in partitions]).update(is_up=False)
