"""What squeue and sacct show of one run, as one value, and to whose allocation it belongs. Reads only."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from portal.people.models import Project
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters.protocol import AccountingRecord, QueueJob
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name
from scheduler.clusters.slices import Slices, slices_read
from scheduler.settlement.charges import UNTYPED, gpus_named

Key = tuple[int, datetime]  # JobIDRaw and submit time: with the cluster, a record's key

_ARRAY = re.compile(r"(\d+)_(\d+|\[.*\])")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One run of one task, or the tasks of an array that wait (`array_rest`, as Slurm writes them).

    `array_job_id` is the array's own number, for an array only; `gpus` counts all types.
    """

    job_id: int
    array_job_id: int | None
    array_task: int | None
    submit_at: datetime
    user: str
    account: str
    qos: str
    partition: str
    comment: str
    name: str
    state: str  # Slurm's, plain
    restarts: int
    gpu_type: str
    gpus: int
    nodes: int
    time_limit_s: int | None
    started_at: datetime | None
    ended_at: datetime | None
    array_rest: str = ""
    is_record: bool = False  # slurmdbd's; else a line of squeue

    @property
    def key(self) -> Key:
        return self.job_id, self.submit_at


@dataclass(frozen=True)
class Ours:
    """The accounts and allocations that the portal made on a cluster, read once for many records."""

    project_of_account: Mapping[str, int]
    allocation_of_qos: Mapping[str, Allocation]
    by_project: Mapping[int, list[Allocation]]
    partition_type: Mapping[str, str]
    slices: Slices = field(default_factory=Slices)

    def has(self, account: str) -> bool:
        return account in self.project_of_account

    def allocation(self, *, account: str, qos: str, gpu_type: str) -> Allocation | None:
        """Whose balance a run uses: its QOS's.

        A run of one of our accounts under a QOS that is none of ours (an administrator's doing) is charged to the
        project's youngest allocation of that GPU type: used is used. None where there is no such allocation.
        """
        found = self.allocation_of_qos.get(qos)
        if found is None:
            fitting = [
                row
                for row in self.by_project.get(self.project_of_account[account], [])
                if row.gpu_type == self.slices.parent(gpu_type)
            ]
            found = max(fitting, key=lambda row: row.pk, default=None)
        return found

    def gpu_seconds(self, seen: "Seen", elapsed_s: int) -> int:
        """What a run costs: its GPUs × elapsed, of slices their share, rounded up once for the record."""
        return self.slices.charged(seen.gpu_type, seen.gpus * max(elapsed_s, 0))


def ours_read(cluster: Cluster) -> Ours:
    allocations = list(
        Allocation.objects.filter(cluster=cluster.name)
        .exclude(imported=True, adopted_at=None)
        .select_related("project")
    )
    by_project: dict[int, list[Allocation]] = {}
    for allocation in allocations:
        by_project.setdefault(allocation.project_id, []).append(allocation)
    return Ours(
        project_of_account={account_name(cluster, slug): pk for pk, slug in Project.objects.values_list("pk", "slug")},
        allocation_of_qos={allocation.qos: allocation for allocation in allocations},
        by_project=by_project,
        partition_type=dict(cluster.partitions.exclude(gpu_type="").values_list("name", "gpu_type")),
        slices=slices_read(),
    )


def gpus_counted(gpus: Mapping[str, int], partition_type: str, allocation_type: str) -> tuple[str, int]:
    """The type a run counts under, and how many GPUs it has: untyped ones are the partition's, else the allocation's.

    A partition has one type. Should a run show several all the same, all its GPUs count, under the most numerous type.
    """
    named = gpus_named(gpus, partition_type=partition_type, default_type=allocation_type)
    if not named:
        return "", 0
    return max(sorted(named), key=lambda gpu_type: (named[gpu_type], gpu_type != UNTYPED)), sum(named.values())


def of_queue(job: QueueJob, ours: Ours) -> Seen:
    gpu_type, gpus = _gpus(job.gpus, job.partition, job.qos, ours)
    return Seen(
        job_id=job.job_id,
        array_job_id=job.array_job_id if job.array_tasks else None,
        array_task=int(job.array_tasks) if job.array_tasks.isdigit() else None,
        submit_at=job.submit_at,
        user=job.user,
        account=job.account,
        qos=job.qos,
        partition=job.partition,
        comment=job.comment,
        name=job.name,
        state=job.state,
        restarts=job.restarts,
        gpu_type=gpu_type,
        gpus=gpus,
        nodes=job.nodes,
        time_limit_s=job.time_limit_s,
        started_at=None if job.state == "PENDING" else job.start_at,
        ended_at=None,
        array_rest="" if job.array_tasks.isdigit() else job.array_tasks,
    )


def of_record(record: AccountingRecord, ours: Ours) -> Seen:
    gpu_type, gpus = _gpus(record.gpus, record.partition, record.qos, ours)
    array = _ARRAY.fullmatch(record.job_id)
    return Seen(
        job_id=record.job_id_raw,
        array_job_id=int(array[1]) if array else None,
        array_task=int(array[2]) if array and array[2].isdigit() else None,
        submit_at=record.submit_at,
        user=record.user,
        account=record.account,
        qos=record.qos,
        partition=record.partition,
        comment=record.comment,
        name=record.name,
        state=record.state,
        restarts=record.restarts,
        gpu_type=gpu_type,
        gpus=gpus,
        nodes=record.nodes,
        time_limit_s=None,
        started_at=record.start_at,
        ended_at=record.end_at if record.is_final else None,
        array_rest=record.job_id if array and not array[2].isdigit() else "",
        is_record=True,
    )


def latest(records: Iterable[AccountingRecord]) -> dict[Key, AccountingRecord]:
    """One record for each key: the last one read, but never an unfinished one after the finished one."""
    found: dict[Key, AccountingRecord] = {}
    for record in records:
        key = (record.job_id_raw, record.submit_at)
        known = found.get(key)
        if known is None or record.is_final or not known.is_final:
            found[key] = record
    return found


def _gpus(gpus: Mapping[str, int], partition: str, qos: str, ours: Ours) -> tuple[str, int]:
    allocation = ours.allocation_of_qos.get(qos)
    return gpus_counted(gpus, ours.partition_type.get(partition, ""), allocation.gpu_type if allocation else "")
