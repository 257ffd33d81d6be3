"""A cluster, a project with an allocation on it, and makers of what squeue and sacct would show."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import AllocationBalance, allocation_balances
from quotas.allocations.services import hold_take
from quotas.programmes.models import Programme
from scheduler.clusters.adapters.limits import QosUsage, ReservationInfo
from scheduler.clusters.adapters.protocol import AccountingRecord, ControllerStatus, NodeInfo, PartitionInfo, QueueJob
from scheduler.clusters.models import Cluster, Partition
from scheduler.clusters.services import Look
from scheduler.jobs.models import Job, Run
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


@pytest.fixture
def balance(allocation: Allocation) -> Callable[[], AllocationBalance]:
    return lambda: allocation_balances([allocation.pk])[allocation.pk]


@pytest.fixture
def portal_job(cluster: Cluster, project: Project, allocation: Allocation, researcher: User) -> Callable[..., Run]:
    """A job of the portal, bound to Slurm's number, with a hold: `portal_job(7, held=120)`."""

    def make(job_id: int, *, held: int = 120, submit_at: datetime = NOON) -> Run:
        hold = uuid4()
        job = Job.objects.create(
            cluster=cluster,
            project=project,
            allocation=allocation,
            person=researcher,
            unix_account="minh",
            name="train",
            partition="h100",
            gpu_type="h100",
            time_limit_s=60,
            state=Job.State.PENDING,
            slurm_job_id=job_id,
            slurm_submit_at=submit_at,
            created_at=submit_at,
            updated_at=submit_at,
        )
        run = Run.objects.create(
            job=job,
            cluster=cluster,
            job_id_raw=job_id,
            submit_at=submit_at,
            gpus=1,
            hold=hold,
            held_gpu_seconds=held,
            created_at=submit_at,
        )
        hold_take(
            allocation_id=allocation.pk,
            hold_id=hold,
            amount_gpu_seconds=held,
            event_at=submit_at,
            reason="job",
            actor="test",
        )
        return run

    return make


class FakeSlurm:
    """What a test wants squeue and sacct to say, and what was asked of it. The real one: test_fifty_mixed_jobs.py."""

    def __init__(self) -> None:
        self.jobs: list[QueueJob] = []
        self.accounting: list[AccountingRecord] = []
        self.unlisted: set[int] = set()  # numbers of jobs that are in no list by time
        self.usage: dict[str, int] = {}
        self.dbd_queue = 0
        self.purged_before: datetime | None = None
        self.clock_ahead = timedelta(0)
        self.booted_at = NOON
        self.asked: list[tuple[str, object]] = []
        self.error: Exception | None = None

    def controller_status(self) -> ControllerStatus:
        if self.error is not None:
            raise self.error
        return ControllerStatus(
            booted_at=self.booted_at, dbd_queue=self.dbd_queue, answered_at=now(), clock_at=now() + self.clock_ahead
        )

    def purge_horizon(self) -> datetime | None:
        return self.purged_before

    def look(self) -> Look:
        return Look(status=self.controller_status(), queue=list(self.jobs))

    def nodes(self) -> list[NodeInfo]:
        return []

    def partitions(self) -> list[PartitionInfo]:
        return [PartitionInfo(name, True, name, 4, 8, 172_800, 3_600) for name in ("h100", "h200")]

    def reservations(self) -> list[ReservationInfo]:
        return []

    def queue(self, *, job_ids: Sequence[int] = ()) -> list[QueueJob]:
        return [job for job in self.jobs if not job_ids or job.job_id in job_ids]

    def records(
        self, *, since: datetime | None = None, until: datetime | None = None, job_ids: Sequence[int] = ()
    ) -> Iterator[AccountingRecord]:
        self.asked.append(("records", sorted(job_ids) or since))
        if self.error is not None:
            raise self.error
        for record in self.accounting:
            is_asked = record.job_id_raw in job_ids if job_ids else True
            if record.job_id_raw in self.unlisted and not job_ids:
                continue
            if is_asked and (since is None or record.end_at is None or record.end_at >= since):
                yield record

    def qos_usage(self, names: Iterable[str]) -> dict[str, QosUsage]:
        return {name: QosUsage(name, self.usage[name], None, 0) for name in names if name in self.usage}

    def job_hold(self, *, job_id: str, reason: str) -> None:
        self.asked.append(("hold", job_id))
        self._reason(job_id, "JobHeldAdmin")

    def job_release(self, *, job_id: str) -> None:
        self.asked.append(("release", job_id))
        self._reason(job_id, "None")

    def _reason(self, job_id: str, reason: str) -> None:
        self.jobs = [replace(job, reason=reason) if str(job.job_id) == job_id else job for job in self.jobs]


@pytest.fixture
def slurm() -> FakeSlurm:
    return FakeSlurm()
