"""A day in June on which an emulated node was scraped by a real Prometheus, and runs that the portal charged."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from monitoring.attribution.asking import Page, SpoolEvent
from monitoring.attribution.models import Exporter
from monitoring.attribution.services import events_take
from monitoring.rollups import runs, windows
from monitoring.rollups.models import Window
from monitoring.rollups.prometheus import Prometheus
from scheduler.clusters.models import Cluster
from tests.monitoring.conftest import hanoi
from tests.monitoring.rollups.tsdb import Gpu

SCRAPE_S = 15
BEGAN = hanoi("2026-06-10 09:00").timestamp()
Says = Callable[..., None]


def scrapes(first: str, last: str) -> list[float]:
    begin, end = hanoi(f"2026-06-10 {first}").timestamp(), hanoi(f"2026-06-10 {last}").timestamp()
    return [begin + 4 + number * SCRAPE_S for number in range(int((end - begin) / SCRAPE_S))]


def faulty() -> list[Gpu]:
    """One GPU for each thing that goes wrong between 9 and 12 o'clock."""
    whole = scrapes("09:00", "12:00")
    ten, half_past = hanoi("2026-06-10 10:00").timestamp(), hanoi("2026-06-10 10:30").timestamp()
    gap = [at for at in whole if not ten <= at < ten + 10 * SCRAPE_S]
    return [
        Gpu("GPU-whole", whole, [at - BEGAN for at in whole]),
        Gpu("GPU-second", whole, [at - BEGAN for at in whole], load=0.25, memory_bytes=60 * 2**30),
        Gpu("GPU-gap", gap, [at - BEGAN for at in gap]),
        # Its exporter was started again, 5 s after a scrape.
        Gpu("GPU-restart", whole, [at - BEGAN if at < half_past + 5 else at - half_past - 9 for at in whole]),
        Gpu("GPU-real", whole, [at - BEGAN for at in whole], emulated=False),
        # Never busy; and busy all the time without its tensor cores.
        Gpu("GPU-dull", whole, [at - BEGAN for at in whole], load=0, use=0, watts=70),
        Gpu("GPU-scalar", whole, [at - BEGAN for at in whole], load=0),
    ]


@pytest.fixture(autouse=True)
def _in_june(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.GPU_SCRAPE_INTERVAL_S = SCRAPE_S
    at(monkeypatch, hanoi("2026-06-11 08:00"))


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """The clock of everything that counts."""
    for module in ("rollups.times", "rollups.windows", "rollups.runs", "attribution.services"):
        monkeypatch.setattr(f"monitoring.{module}.now", lambda: moment)


@pytest.fixture
def exporter(cluster: Cluster) -> Exporter:
    return Exporter.objects.create(cluster=cluster, node="gpu001", spool="one", spools=1)


@pytest.fixture
def says(exporter: Exporter) -> Says:
    """The node's hooks: `says(job, "start", "10:00", "GPU-whole")`, at a second of the day in June."""

    def make(job: int, kind: str, clock: str, *gpus: str, late_s: float = 0.0) -> None:
        n = exporter.read_n + 1
        moment = hanoi(f"2026-06-10 {clock}") + timedelta(seconds=late_s)
        event = SpoolEvent(n, kind, job, 1_000, moment, gpus)
        events_take(exporter=exporter, page=Page("one", 1, n, (event,)))

    return make


@pytest.fixture
def count(prometheus: Prometheus) -> Callable[[], None]:
    """All that the rollup's task does, until nothing is due."""

    def run() -> None:
        windows.changes_note()
        runs.records_follow(60)
        Window.objects.update(duration_s=0)  # the clock stands still: none rests
        while windows.windows_count(prometheus, 60):
            pass

    return run
