"""From the driver to the figures while everything on the way dies: coverage falls by exactly what nobody saw.

Two emulated nodes with real exporters, hooks as Slurm runs them, a real Prometheus; what slurmdbd would have of the
jobs is written down by the test. Prometheus is killed for ten scrapes, an exporter by kill -9, an epilog never comes,
and a node loses its spool. All in one course of some twenty seconds; the tests look at what came of it.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Model
from pytest_django.fixtures import Settings

from monitoring.attribution import services
from monitoring.attribution.models import Exporter, Interval
from monitoring.emulator import profiles
from monitoring.rollups import runs, windows
from monitoring.rollups.models import NationDay, OrganisationDay, PersonDay, RunDay, Window, WindowRun
from monitoring.rollups.prometheus import Prometheus
from monitoring.rollups.stretches import AGE, OBSERVED
from portal.clock import now
from quotas.allocations.models import Allocation
from scheduler.settlement.models import Record
from tests.monitoring.conftest import HANOI, RunOf
from tests.monitoring.exporter.conftest import TOKEN, Running
from tests.monitoring.rollups.tsdb import Scraping

pytestmark = pytest.mark.django_db
SCRAPE_S = 0.5
STOPPED_SCRAPES = 10
TOLERANCE_S = SCRAPE_S  # at the edges of what is added up before it is compared
CLOCK_HZ = profiles.truth("h100", "bf16").clock_mhz * 1e6 * profiles.truth("h100", "bf16").shares["mma"]
# What each job is there for, by Slurm's number.
WHOLE, LOST_EPILOG, NEXT, REBOOTED, AFTER, NEVER_READ = range(1, 7)


@dataclass
class Course:
    """What happened, by the clock: when each job's prolog ran and when Slurm says that it ended."""

    prometheus: Prometheus
    gpu_of: dict[int, str] = field(default_factory=dict)
    began: dict[int, float] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    stopped: tuple[float, float] = (0.0, 0.0)
    killed: tuple[float, float] = (0.0, 0.0)
    cursors: list[dict[str, Any]] = field(default_factory=list)  # of the exporters before the node lost its spool


@pytest.fixture
def nodes(exporter_on: Callable[..., Any]) -> Iterator[list[Running]]:
    with exporter_on("h100", 2, node="gpu001") as one, exporter_on("h100", 2, node="gpu002") as other:
        one.well(2)
        other.well(2)
        yield [one, other]


@pytest.fixture
def scraping(nodes: list[Running], tmp_path: Path) -> Iterator[Scraping]:
    where = [f"127.0.0.1:{node.port}" for node in nodes]
    found = Scraping(tmp_path, where, token=TOKEN, interval_s=SCRAPE_S)
    yield found
    found.kill()


@pytest.fixture
def course(
    nodes: list[Running],
    scraping: Scraping,
    allocation: Allocation,
    run_of: RunOf,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Course:
    settings.EXPORTERS = {"local": {node.node: f"http://127.0.0.1:{node.port}" for node in nodes}}
    settings.EXPORTER_TOKEN, settings.GPU_SCRAPE_INTERVAL_S = TOKEN, SCRAPE_S
    every = [profiles.gpu_uuid(node.node, index) for node in nodes for index in range(2)]
    scraping.until_scraped(every, time.time() - 5)
    done = Course(scraping.prometheus)
    _play(done, nodes, scraping, every)
    time.sleep(6 * SCRAPE_S)  # the last scrapes
    for job in sorted(done.began):
        _settled(job, done, allocation, run_of)
    _count(scraping.prometheus)
    return done


def _play(done: Course, nodes: list[Running], scraping: Scraping, every: list[str]) -> None:
    one, other = nodes
    indices: dict[int, str] = {}

    def begin(job: int, node: Running, gpu: int) -> None:
        done.began[job], done.gpu_of[job] = time.time(), profiles.gpu_uuid(node.node, gpu)
        indices[job] = str(gpu)
        node.hook("start", job, str(gpu))
        node.job_file(job, "emulator-load", "bf16")

    def end(job: int, node: Running | None = None) -> None:
        done.ended[job] = time.time()
        if node is not None:
            node.hook("end", job, indices[job])

    begin(WHOLE, one, 0)
    begin(LOST_EPILOG, one, 1)
    begin(REBOOTED, other, 0)
    time.sleep(3)
    end(LOST_EPILOG)  # and its epilog never runs
    time.sleep(4 * SCRAPE_S)
    begin(NEXT, one, 1)
    time.sleep(2)
    services.exporters_pull()
    begin(NEVER_READ, other, 1)
    done.cursors = list(Exporter.objects.order_by("node").values("node", "spool", "read_n"))

    scraping.kill()
    stopped_at = time.time()
    time.sleep(STOPPED_SCRAPES * SCRAPE_S)
    scraping.start()
    scraping.until_scraped(every, time.time())
    done.stopped = stopped_at, time.time()

    time.sleep(1)
    one.process.kill()
    one.process.wait(10)
    killed_at = time.time()
    one.process = one.start()  # as supervisord does
    one.well(2)
    done.killed = killed_at, time.time()
    time.sleep(1)

    _reboot(other)
    end(REBOOTED)
    end(NEVER_READ)
    other.well(2)
    time.sleep(1)
    begin(AFTER, other, 0)
    time.sleep(3)
    end(WHOLE, one)
    end(NEXT, one)
    end(AFTER, other)


def _reboot(node: Running) -> None:
    """Everything dies at once, and the node's disk is a new one."""
    node.process.kill()
    node.process.wait(10)
    for name in ("events", "events.1", "lock", "emulator/state"):
        (node.folder / name).unlink(missing_ok=True)
    for name in ("runs", "jobs"):
        shutil.rmtree(node.folder / name)
        (node.folder / name).mkdir()
    node.process = node.start()


def _settled(job: int, done: Course, allocation: Allocation, run_of: RunOf) -> None:
    """Slurm's times are whole seconds."""
    began, ended = (
        datetime.fromtimestamp(int(at), HANOI).replace(tzinfo=None).isoformat(" ")
        for at in (done.began[job], done.ended[job])
    )
    assert run_of(allocation, began, ended).job_id_raw == job


def _count(prometheus: Prometheus) -> None:
    """All that the tasks do, at once."""
    services.exporters_pull()
    services.intervals_follow()
    windows.changes_note()
    runs.records_follow(60)
    Window.objects.update(due_at=now())
    while Window.objects.filter(due_at__lte=now()).exists():
        assert windows.windows_count(prometheus, 60)


def figures(job: int) -> dict[str, int]:
    """Sums over the run's days."""
    names = ("observed_us", "without_event_us", "two_owners_us", "unread_us", "gap_us", "counter_us", "cycles")
    rows = RunDay.objects.filter(job_id_raw=job)
    found = {name: sum(getattr(row, name) for row in rows) for name in names}
    return found | {"allocated": sum(row.allocated_gpu_seconds for row in rows)}


def charged_times(job: int) -> tuple[float, float]:
    record = Record.objects.get(job_id_raw=job)
    assert record.started_at is not None
    assert record.ended_at is not None
    return record.started_at.timestamp(), record.ended_at.timestamp()


def gaps_of(done: Course, job: int) -> tuple[float, float]:
    """(seconds without a scrape, seconds that were scraped and not read) in the run's own times, by Prometheus' raw
    samples and nothing of the code that counts."""
    low, high = charged_times(job)
    found = done.prometheus.series(low - 10, high + 10)[done.gpu_of[job]]
    seen = dict(zip(found[OBSERVED].at, found[OBSERVED].values, strict=True))
    ages = dict(zip(found[AGE].at, found[AGE].values, strict=True))
    times = sorted(seen.keys() & ages.keys())  # an exporter that has just begun has read nothing
    covered = unread = net = 0.0
    for first, second in pairwise(times):
        began, ended = first - ages[first], second - ages[second]
        inside = max(0.0, min(ended, high) - max(began, low))
        grown = seen[second] - seen[first] if seen[second] >= seen[first] else seen[second]
        scraped = [at for at in seen if first <= at <= second]
        is_gap = max(after - before for before, after in pairwise(sorted(scraped))) > 2.5 * SCRAPE_S
        if inside and not is_gap:
            covered += inside
        if is_gap or not low <= began <= ended <= high:
            unread += max(0.0, net)
            unread += 0.0 if is_gap else min(inside, max(0.0, (ended - began) - grown))
            net = 0.0
        else:
            net += (ended - began) - grown  # read late in one stretch, it is in the next
    return high - low - covered, unread + max(0.0, net)


def stored(model: type[Model]) -> list[str]:
    """Every row, but for its number and the time of counting."""
    names = [field.attname for field in model._meta.concrete_fields if field.name not in ("id", "counted_at")]
    return sorted(str(row) for row in model._default_manager.values(*names))


def test_losses_are_as_long_as_they_were_and_nothing_is_counted_twice(course: Course) -> None:
    add_up(course)
    prometheus_was_away(course)
    exporter_was_killed(course)
    epilog_was_lost(course)
    node_lost_its_spool(course)
    nothing_is_invented(course)
    again_it_is_the_same(course)


def add_up(course: Course) -> None:
    for job in course.began:
        low, high = charged_times(job)
        found = figures(job)
        assert found["allocated"] == round(high - low), job
        causes = ("without_event_us", "two_owners_us", "unread_us", "gap_us")
        assert found["observed_us"] + sum(found[cause] for cause in causes) == found["allocated"] * 1_000_000
        assert min(found[cause] for cause in causes) >= 0, (job, found)


def prometheus_was_away(course: Course) -> None:
    away_s = course.stopped[1] - course.stopped[0]
    assert away_s > STOPPED_SCRAPES * SCRAPE_S
    for job in (WHOLE, NEXT, REBOOTED):
        gap, _unread = gaps_of(course, job)
        assert gap >= STOPPED_SCRAPES * SCRAPE_S
        assert figures(job)["gap_us"] / 1e6 == pytest.approx(gap, abs=TOLERANCE_S), job


def exporter_was_killed(course: Course) -> None:
    """It read nothing while it was dead: gap or unread, as long as that and a collection at each end."""
    dead_s = course.killed[1] - course.killed[0]
    away_s = course.stopped[1] - course.stopped[0]
    for job in (WHOLE, NEXT):
        gap, unread = gaps_of(course, job)
        found = figures(job)
        lost = (found["gap_us"] + found["unread_us"]) / 1e6
        assert lost == pytest.approx(gap + unread, abs=TOLERANCE_S)
        assert STOPPED_SCRAPES * SCRAPE_S < lost < away_s + dead_s + 6 * SCRAPE_S


def epilog_was_lost(course: Course) -> None:
    interval = Interval.objects.get(job_id_raw=LOST_EPILOG)
    assert interval.end_known == "record"
    assert interval.ended_at is not None
    assert interval.ended_at.timestamp() <= course.began[NEXT]
    # Nothing is lost by it: slurmdbd knows the end, and nobody else was on the GPU then.
    found = figures(LOST_EPILOG)
    assert found["observed_us"] / 1e6 == pytest.approx(
        found["allocated"] - sum(gaps_of(course, LOST_EPILOG)), abs=TOLERANCE_S
    )
    assert found["observed_us"] > 0
    assert (figures(NEXT)["without_event_us"], figures(NEXT)["two_owners_us"]) == (0, 0)


def node_lost_its_spool(course: Course) -> None:
    before = {row["node"]: row for row in course.cursors}
    exporter = Exporter.objects.get(node="gpu002")
    assert (exporter.spools, exporter.lost_events) == (2, 0)
    assert exporter.spool != before["gpu002"]["spool"]
    never = figures(NEVER_READ)
    assert (never["observed_us"], never["without_event_us"]) == (0, never["allocated"] * 1_000_000)
    after = figures(AFTER)
    assert after["without_event_us"] == 0
    assert after["observed_us"] / 1e6 == pytest.approx(
        after["allocated"] - sum(gaps_of(course, AFTER)), abs=TOLERANCE_S
    )
    assert after["observed_us"] > 0


def nothing_is_invented(course: Course) -> None:
    """Tensor cycles are those of the seconds that were seen, at the load that ran: none for a gap, none twice."""
    for job in course.began:
        found = figures(job)
        edges_s = 1.5  # outside the record's whole seconds the job was on its GPU too
        did = CLOCK_HZ * (found["observed_us"] / 1e6 + edges_s)
        assert found["cycles"] <= did * 1.02, job
        if found["observed_us"] > 5_000_000:
            assert found["cycles"] >= CLOCK_HZ * (found["observed_us"] / 1e6 - edges_s) * 0.98, job
    by_gpu: dict[str, int] = {}
    for job, gpu in course.gpu_of.items():
        by_gpu[gpu] = by_gpu.get(gpu, 0) + figures(job)["observed_us"]
    for gpu, observed_us in by_gpu.items():
        jobs = [job for job in course.began if course.gpu_of[job] == gpu]
        assert observed_us / 1e6 <= sum(charged_times(job)[1] - charged_times(job)[0] for job in jobs)


def again_it_is_the_same(course: Course) -> None:
    models = (WindowRun, RunDay, PersonDay, OrganisationDay, NationDay, Interval)
    before = {model: stored(model) for model in models}
    assert all(before.values())
    Record.objects.update(read_at=datetime.now(UTC))
    _count(course.prometheus)
    for model in models:
        assert stored(model) == before[model], model
