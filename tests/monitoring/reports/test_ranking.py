"""A project's own runs by what of their GPU-time was lost; its telemetry as page, file and API."""

import io
from datetime import UTC, date, datetime

import pytest
from django.test import Client
from openpyxl import load_workbook

from monitoring.rollups.models import RunDay
from monitoring.rollups.sums import days_sum
from portal.people.models import Project, User
from scheduler.clusters.models import Cluster
from tests.conftest import ClientOf
from tests.counting import QUERIES_MOST, queries_of
from tests.monitoring.reports.test_pages import JUNE, text_of
from tests.portal.api.programs import program_of

pytestmark = pytest.mark.django_db
HOUR = 3_600
HOUR_US = HOUR * 10**6
DAY = date(2026, 6, 10)


@pytest.fixture
def runs(project: Project, cluster: Cluster) -> list[RunDay]:
    """A long one that lost a fifth, a short one that lost all, one that nobody saw, one of another project's."""
    kinds = [(100, 100, 20, 0), (2, 2, 2, 0), (50, 0, 0, 0), (8, 8, 0, 4)]
    rows = [
        RunDay(
            cluster=cluster, job_id_raw=700 + number, submit_at=datetime(2026, 6, 10, tzinfo=UTC), day=DAY,
            organisation=project.organisation, project=project, user="minh", gpu_type="h100", is_final=True,
            counted_at=datetime(2026, 6, 11, tzinfo=UTC), peaks_version="1", allocated_gpu_seconds=hours * HOUR,
            observed_us=observed * HOUR_US, gap_us=(hours - observed) * HOUR_US, device_us=hours * HOUR_US,
            idle_us=idle * HOUR_US, failed_lost_us=failed * HOUR_US, energy_j=observed * 3.6e6,
        )
        for number, (hours, observed, idle, failed) in enumerate(kinds)
    ]  # fmt: skip
    RunDay.objects.bulk_create(rows)
    days_sum({(project.organisation_id, DAY)})
    return rows


@pytest.fixture
def researching(client_of: ClientOf, researcher: User) -> Client:
    return client_of(researcher)


def places(text: str) -> list[str]:
    """The runs in the order of the page."""
    return sorted(("700", "701", "702", "703"), key=lambda number: text.index(f" {number} "))


def test_who_lost_most_stands_first(researching: Client, project: Project, runs: list[RunDay]) -> None:
    text = text_of(researching.get(f"/reports/projects/{project.slug}/jobs/{JUNE}").content)
    assert places(text) == ["700", "703", "701", "702"]
    assert "GPU phải chờ" in text
    assert "Lần chạy thất bại" in text
    assert "Phần lớn không quan sát được" in text  # unobserved time is no loss: it stands last


def test_or_who_was_least_useful(researching: Client, project: Project, runs: list[RunDay]) -> None:
    text = text_of(researching.get(f"/reports/projects/{project.slug}/jobs/{JUNE}&by=share").content)
    assert places(text) == ["701", "703", "700", "702"]


def test_it_asks_as_often_for_many_as_for_one(researching: Client, project: Project, runs: list[RunDay]) -> None:
    address = f"/reports/projects/{project.slug}/jobs/"
    many = queries_of(researching, address + JUNE)
    RunDay.objects.exclude(job_id_raw=700).delete()
    assert many == queries_of(researching, address + JUNE) <= QUERIES_MOST


def test_page_workbook_pdf_and_api_say_the_same(
    researching: Client, researcher: User, project: Project, runs: list[RunDay]
) -> None:
    address = f"/reports/projects/{project.slug}/throughput"
    text = text_of(researching.get(f"{address}/{JUNE}").content)
    assert "Nhàn rỗi 22 13,7 %" in text
    book = load_workbook(io.BytesIO(researching.get(f"{address}.xlsx{JUNE}").content))
    losses = {row[1]: row[2] for row in book["Thời gian GPU đi đâu"].iter_rows(min_row=2, values_only=True)}
    assert losses["Nhàn rỗi"] == 22 * HOUR
    steps = ("Không quan sát được", "Nhàn rỗi", "Của các lần chạy thất bại", "Hữu ích")
    assert sum(losses[step] for step in steps) == losses["Được cấp"] == 160 * HOUR
    assert researching.get(f"{address}.pdf{JUNE}").content.startswith(b"%PDF-")
    (told,) = program_of(researcher, "read").get(f"/api/v1/telemetry/projects/{project.slug}/{JUNE}").json()["by_type"]
    assert told["steps_gpu_seconds"]["idle"] == 22 * HOUR
    assert sum(told["steps_gpu_seconds"].values()) == told["allocated_gpu_seconds"]
    assert told["energy"]["gpu_kwh"] == 110


def test_to_a_token_of_one_project_no_organisation_exists(organisation_manager: User, project: Project) -> None:
    address = f"/api/v1/telemetry/organisations/{project.organisation.slug}/{JUNE}"
    assert program_of(organisation_manager, "read").get(address).status_code == 200
    assert program_of(organisation_manager, "read", project=project).get(address).status_code == 404


def test_the_project_page_shows_the_last_days(researching: Client, project: Project) -> None:
    assert researching.get(f"/reports/cards/projects/{project.slug}/").status_code == 204
