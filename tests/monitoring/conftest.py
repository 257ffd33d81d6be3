"""A cluster, allocations, and runs as settlement leaves them: a record, and its charge in the ledger."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pytest_django.fixtures import Settings

from monitoring.rollups.prometheus import Prometheus
from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.allocations.services import Charge, charges_book
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from scheduler.settlement.models import Record
from tests.monitoring.rollups.tsdb import blocks_make, openmetrics_write, serving
from tests.quotas import makers

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
RunOf = Callable[..., Record]


def hanoi(text: str) -> datetime:
    """A moment as a clock in Hanoi shows it: "2026-06-01 23:30"."""
    return datetime.fromisoformat(text).replace(tzinfo=HANOI)


@pytest.fixture(autouse=True)
def _days_of_hanoi(settings: Settings) -> None:
    settings.CENTRE_TIME_ZONE = "Asia/Ho_Chi_Minh"


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """What an emulated node's exporter was scraped on a day in June: one for all tests over it."""
    from tests.monitoring.rollups.conftest import faulty  # it imports this module
    from tests.monitoring.watching.sick import sick

    directory: Path = tmp_path_factory.mktemp("prometheus")
    openmetrics_write(directory / "samples.txt", [*faulty(), *sick()])
    blocks_make(directory / "samples.txt", directory / "data")
    with serving(directory / "data") as server:
        yield server


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="local", title="Cụm thử", created_at=hanoi("2026-01-01"))


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme(h100_hours=1_000_000, h200_hours=1_000_000)


@pytest.fixture
def allocation(project: Project, programme: Programme) -> Allocation:
    return makers.award(project, programme, gpu_seconds=100_000 * makers.HOUR)


@pytest.fixture
def run_of(cluster: Cluster) -> RunOf:
    """A finished run, charged: `run_of(allocation, "2026-06-01 23:30", "2026-06-02 00:30", gpus=2, user="minh")`."""

    def make(
        allocation: Allocation,
        started: str,
        ended: str,
        *,
        gpus: int = 1,
        user: str = "minh",
        elapsed_s: int | None = None,
        imported: bool = False,
    ) -> Record:
        started_at, ended_at = hanoi(started), hanoi(ended)
        if elapsed_s is None:
            elapsed_s = (ended_at - started_at) // timedelta(seconds=1)
        number = Record.objects.count() + 1
        record = Record.objects.create(
            cluster=cluster,
            job_id_raw=number,
            submit_at=started_at - timedelta(minutes=1),
            charge=UUID(int=number),
            allocation=allocation,
            job_id=str(number),
            account=allocation.project.slug,
            user=user,
            state="COMPLETED",
            started_at=started_at,
            ended_at=ended_at,
            elapsed_s=elapsed_s,
            gpu_type=allocation.gpu_type,
            gpus=gpus,
            gpu_seconds=gpus * elapsed_s,
            is_final=True,
            imported=imported,
            read_at=ended_at,
        )
        if record.gpu_seconds:
            charge = Charge(
                charge_id=record.charge,
                allocation_id=allocation.pk,
                gpu_seconds=record.gpu_seconds,
                hold_id=None,
                event_at=ended_at,
                reason=f"run {number}",
            )
            (booked,) = charges_book(charges=[charge], actor="test")
            record.charged_gpu_seconds, record.overrun_gpu_seconds = booked.gpu_seconds, booked.overrun
            record.save()
        return record

    return make
