"""The line that does in a shell what the portal's form does: for those who live in ssh, and for a job's page."""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from portal.clock import centre_date, now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import usable_allocations
from scheduler.clusters.default_qos import default_of
from scheduler.clusters.models import Cluster, Partition
from scheduler.clusters.names import account_name
from scheduler.jobs.durations import slurm_time
from scheduler.jobs.models import Job

SCRIPT = "job.sh"
EXAMPLE_TIME_LIMIT_S = 3_600


def sbatch_line(
    *,
    account: str,
    partition: str,
    qos: str,
    gpu_type: str,
    gpus_per_node: int,
    nodes: int,
    time_limit_s: int,
    cpus_per_node: int = 0,
    reservation: str = "",
) -> str:
    """What sbatch needs so that the job runs in this account and within this allocation's limit."""
    words = [
        "sbatch",
        f"--account={account}",
        f"--partition={partition}",
        f"--qos={qos}",
        f"--nodes={nodes}",
        f"--gpus-per-node={gpu_type}:{gpus_per_node}" if gpu_type else f"--cpus-per-task={cpus_per_node}",
        f"--time={slurm_time(time_limit_s)}",
        *([f"--reservation={reservation}"] if reservation else []),
        SCRIPT,
    ]
    return shlex.join(words)


def line_of_job(job: Job) -> str:
    return sbatch_line(
        account=account_name(job.cluster, job.project.slug),
        partition=job.partition,
        qos=job.qos,
        gpu_type=job.gpu_type,
        gpus_per_node=job.gpus_per_node,
        nodes=job.nodes,
        time_limit_s=job.time_limit_s,
        cpus_per_node=job.cpus_per_node,
        reservation=job.reservation,
    )


@dataclass(frozen=True)
class ShellLine:
    """`is_default`: it is one of several, and what a job without --qos runs on."""

    allocation: Allocation
    cluster: Cluster
    line: str
    is_default: bool


def lines_for(person: User, project: Project) -> Sequence[ShellLine]:
    """One line for each allocation that the person can use today, one GPU for an hour; none without a partition."""
    allocations = [row.allocation for row in usable_allocations(person, project)]
    today, by_type = centre_date(now()), defaultdict(list)
    for allocation in allocations:
        by_type[allocation.cluster, allocation.gpu_type].append(allocation)
    defaults = [default_of(rows, today) for rows in by_type.values() if len(rows) > 1]
    clusters = {row.name: row for row in Cluster.objects.filter(is_active=True, retired_at=None)}
    partitions: dict[tuple[str, str], str] = {}
    for name, gpu_type, partition in (
        Partition.objects.filter(cluster__in=clusters.values(), is_up=True)
        .order_by("name")
        .values_list("cluster__name", "gpu_type", "name")
    ):
        partitions.setdefault((name, gpu_type), partition)
    return [
        ShellLine(
            allocation,
            clusters[allocation.cluster],
            sbatch_line(
                account=account_name(clusters[allocation.cluster], project.slug),
                partition=partitions[allocation.cluster, allocation.gpu_type],
                qos=allocation.qos,
                gpu_type=allocation.gpu_type,
                gpus_per_node=1,
                nodes=1,
                time_limit_s=EXAMPLE_TIME_LIMIT_S,
            ),
            allocation in defaults,
        )
        for allocation in allocations
        if (allocation.cluster, allocation.gpu_type) in partitions
    ]
