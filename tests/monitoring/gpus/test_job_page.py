"""The part of a job's page about its GPUs, over a real Prometheus."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from monitoring.gpus import asking
from monitoring.rollups import windows
from monitoring.rollups.models import Window
from monitoring.rollups.prometheus import Prometheus
from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.settlement.models import Record
from tests.conftest import ClientOf
from tests.counting import QUERIES_MOST, queries_of
from tests.monitoring.conftest import RunOf, hanoi
from tests.monitoring.reports.test_pages import text_of
from tests.monitoring.rollups.conftest import Says, at


@pytest.fixture(autouse=True)
def _asks(settings: Settings, prometheus: Prometheus) -> None:
    settings.PROMETHEUS_URL = f"http://127.0.0.1:{prometheus.address.port}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], datetime]:
    def to(text: str) -> datetime:
        moment = hanoi(f"2026-06-10 {text}")
        at(monkeypatch, moment)
        for module in ("asking", "summary"):
            monkeypatch.setattr(f"monitoring.gpus.{module}.now", lambda: moment)
        return moment

    return to


@pytest.fixture
def window(client_of: ClientOf, researcher: User) -> Client:
    found = client_of(researcher)
    found.cookies["django_language"] = "en"
    return found


def job_with(cluster: Cluster, allocation: Allocation, number: int, **facts: object) -> Job:
    began = hanoi("2026-06-10 09:30")
    wanted = {
        "origin": Job.Origin.OUTSIDE, "cluster": cluster, "project": allocation.project, "allocation": allocation,
        "unix_account": "minh", "name": "long", "partition": "h100", "gpu_type": "h100", "time_limit_s": 86_400,
        "gpus_per_node": 2, "slurm_job_id": number, "slurm_submit_at": began, "created_at": began, "updated_at": began,
    }  # fmt: skip
    return Job.objects.create(**(wanted | facts))


@pytest.fixture
def running(cluster: Cluster, allocation: Allocation, says: Says) -> Job:
    """Two GPUs since 9:40, one of them with its tensor cores busy for half of the time, the other for a quarter."""
    job = job_with(cluster, allocation, 7, state=Job.State.RUNNING)
    began = hanoi("2026-06-10 09:40")
    Run.objects.create(
        job=job, cluster=cluster, job_id_raw=7, submit_at=job.slurm_submit_at, started_at=began, gpus=2,
        created_at=began, state=Job.State.RUNNING,
    )  # fmt: skip
    says(7, "start", "09:40", "GPU-whole", "GPU-second")
    return job


@pytest.fixture
def ended(cluster: Cluster, allocation: Allocation, run_of: RunOf, says: Says) -> tuple[Job, Record]:
    record = run_of(allocation, "2026-06-10 09:40", "2026-06-10 10:40", gpus=2)
    job = job_with(cluster, allocation, record.job_id_raw, state=Job.State.COMPLETED, script="#!/bin/sh\n")
    Job.objects.filter(pk=job.pk).update(slurm_submit_at=record.submit_at)
    Run.objects.create(
        job=job, cluster=cluster, job_id_raw=record.job_id_raw, submit_at=record.submit_at, gpus=2,
        started_at=record.started_at, ended_at=record.ended_at, created_at=record.submit_at,
        state=Job.State.COMPLETED, charged_gpu_seconds=record.charged_gpu_seconds,
    )  # fmt: skip
    says(record.job_id_raw, "start", "09:40", "GPU-whole", "GPU-second")
    says(record.job_id_raw, "end", "10:40", "GPU-whole", "GPU-second")
    return job, record


def address(job: Job) -> str:
    return reverse("gpus:job", args=[job.pk])


def test_while_it_runs_there_are_charts_and_the_table_under_them(
    window: Client, running: Job, clock: Callable[[str], datetime]
) -> None:
    clock("10:20")
    html = window.get(address(running)).content
    text = text_of(html)
    for words in ("Emulated", "Last hour", "Whole run", "GPU utilisation", "100 %", "40.0 / 80 GiB", "500 W"):
        assert words in text, words
    assert "50.0 %" in text
    assert "25.0 %" in text
    assert html.count(b'<path class="chart-mean"') == 4
    assert html.count(b'<path class="chart-gpu"') == 8
    assert 'hx-trigger="every 15s"' in html.decode()


def test_however_many_watch_prometheus_is_asked_once_an_interval(
    window: Client, running: Job, clock: Callable[[str], datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = asking.seen_ask
    monkeypatch.setattr(asking, "seen_ask", lambda job, span: (asked.append(span), real(job, span))[1])
    clock("10:20")
    for _person in range(5):
        assert window.get(address(running)).status_code == 200
    assert asked == ["hour"]
    clock("10:20:16")
    window.get(address(running))
    assert asked == ["hour", "hour"]
    seen = asking.seen_of(running, "hour")
    assert seen is not None
    assert all(
        hanoi("2026-06-10 09:40").timestamp() <= point.began < point.ended <= seen.at
        for gpu in seen.gpus
        for point in gpu.points
    )


def test_what_has_not_changed_is_not_sent_again(window: Client, running: Job, clock: Callable[[str], datetime]) -> None:
    clock("10:20")
    html = window.get(address(running)).content.decode()
    again = html.split('hx-get="', 1)[1].split('"', 1)[0].replace("&amp;", "&")
    assert window.get(again).status_code == 204


def test_before_the_first_scrape_and_without_prometheus_it_says_so(
    window: Client, running: Job, clock: Callable[[str], datetime], settings: Settings
) -> None:
    clock("09:40:05")
    assert "No measurement yet" in text_of(window.get(address(running)).content)
    clock("09:41")
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    assert "Prometheus does not answer" in text_of(window.get(address(running)).content)


def test_within_a_minute_after_the_end_the_summary_is_there(
    window: Client, ended: tuple[Job, Record], clock: Callable[[str], datetime], count: Callable[[], None]
) -> None:
    job, _record = ended
    clock("10:40:20")
    assert "is being counted" in text_of(window.get(address(job)).content)
    windows.changes_note()
    due = Window.objects.get(starts_at=hanoi("2026-06-10 10:30")).due_at
    assert due is not None
    assert due <= hanoi("2026-06-10 10:40:30")
    clock("10:40:45")
    count()
    text = text_of(window.get(address(job)).content)
    for words in ("GPU utilisation 100.0 %", "Tensor cores active 37.", "of 2 charged", "40.0", "Energy 1.00"):
        assert words in text, words
    assert "between 0.000 (declared by the job) and" in text
    assert "It did not declare its FLOPs" in text
    assert "being counted" not in text
    assert Window.objects.get(starts_at=hanoi("2026-06-10 10:30")).due_at is not None  # again at its end


def test_a_stranger_sees_nothing_and_a_page_asks_little(
    client_of: ClientOf,
    other_researcher: User,
    window: Client,
    ended: tuple[Job, Record],
    clock: Callable[[str], datetime],
    count: Callable[[], None],
) -> None:
    clock("10:50")
    count()
    assert client_of(other_researcher).get(address(ended[0])).status_code == 404
    assert queries_of(window, address(ended[0])) <= QUERIES_MOST
