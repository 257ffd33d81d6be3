"""A cluster, a project with an allocation on it, and makers of what squeue and sacct would show."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from scheduler.clusters.adapters.protocol import AccountingRecord, QueueJob
from scheduler.clusters.models import Cluster, Partition
from tests.quotas import makers

NOON = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)


@pytest.fixture
def cluster(db: None) -> Cluster:
    cluster = Cluster.objects.create(name="local", title="Cụm thử", created_at=NOON)
    for name in ("h100", "h200"):
        Partition.objects.create(
            cluster=cluster, name=name, gpu_type=name, nodes=4, gpus_per_node=8, max_time_s=172_800, read_at=NOON
        )
    return cluster


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme(h100_hours=1_000_000)


@pytest.fixture
def allocation(cluster: Cluster, project: Project, programme: Programme) -> Allocation:
    return makers.award(project, programme, gpu_seconds=100_000)


@pytest.fixture
def account(cluster: Cluster, project: Project) -> str:
    return f"{cluster.account_prefix}{project.slug}"


RecordOf = Callable[..., AccountingRecord]
QueuedAs = Callable[..., QueueJob]


@pytest.fixture
def record_of(allocation: Allocation, account: str) -> RecordOf:
    """A finished record of one h100 for 60 s: `record_of(7, elapsed_s=10, state="FAILED")`."""

    def make(
        job_id: int, *, display: str = "", elapsed_s: int = 60, submit_at: datetime = NOON, **changed: object
    ) -> AccountingRecord:
        start_at = submit_at + timedelta(seconds=5)
        record = AccountingRecord(
            job_id_raw=job_id,
            job_id=display or str(job_id),
            account=account,
            user="minh",
            qos=allocation.qos,
            partition="h100",
            state="COMPLETED",
            submit_at=submit_at,
            start_at=start_at,
            end_at=start_at + timedelta(seconds=elapsed_s),
            elapsed_s=elapsed_s,
            gpus={"h100": 1},
            nodes=1,
        )
        return replace(record, **changed)

    return make


@pytest.fixture
def queued_as(allocation: Allocation, account: str) -> QueuedAs:
    """A line of squeue, running with one h100 and a limit of 60 s."""

    def make(job_id: int, *, submit_at: datetime = NOON, **changed: object) -> QueueJob:
        job = QueueJob(
            job_id=job_id,
            array_job_id=None,
            array_tasks="",
            array_task_count=1,
            het_job_id=None,
            user="minh",
            account=account,
            qos=allocation.qos,
            partition="h100",
            state="RUNNING",
            reason="None",
            comment="",
            name="train",
            submit_at=submit_at,
            eligible_at=submit_at,
            start_at=submit_at + timedelta(seconds=5),
            time_limit_s=60,
            nodes=1,
            gpus={"h100": 1},
            restarts=0,
        )
        return replace(job, **changed)

    return make
