"""The page and the spreadsheet of what came out in FP8."""

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from django.test import Client

from monitoring.rollups.models import OrganisationDay
from portal.people.models import Organisation, User
from tests.conftest import ClientOf
from tests.counting import QUERIES_MOST, queries_of
from tests.monitoring.reports.test_pages import JUNE, text_of

HOUR = 3_600
ADDRESS = f"/reports/sao-mai/throughput/{JUNE}"


@pytest.fixture
def manager(client_of: ClientOf, organisation_manager: User) -> Client:
    return client_of(organisation_manager)


@pytest.fixture
def day(organisation: Organisation) -> OrganisationDay:
    """A hundred H100-hours: 90 observed at half the cycles of 1.7 GHz, a tenth of the peak declared."""
    return OrganisationDay.objects.create(
        organisation=organisation, gpu_type="h100", day=date(2026, 6, 10), allocated_gpu_seconds=100 * HOUR,
        emulated_gpu_seconds=100 * HOUR, observed_us=90 * HOUR * 10**6, gap_us=7 * HOUR * 10**6,
        two_owners_us=3 * HOUR * 10**6, idle_us=20 * HOUR * 10**6, no_tensor_us=15 * HOUR * 10**6,
        tensor_unread_us=5 * HOUR * 10**6, throttled_lost_us=4 * HOUR * 10**6, failed_lost_us=6 * HOUR * 10**6,
        energy_j=50 * 3.6e6, device_us=100 * HOUR * 10**6, counter_us=90 * HOUR * 10**6,
        cycles=90 * HOUR * 0.85e9, no_cycles_us=10 * HOUR * 10**6, fp8_flop=1_979e12 * 10 * HOUR,
        tensor_flop=1_979e12 * 10 * HOUR,
    )  # fmt: skip


def test_it_shows_bounds_coverage_causes_sources_and_the_chart(manager: Client, day: OrganisationDay) -> None:
    html = manager.get(ADDRESS).content
    text = text_of(html)
    for words in (
        "Tác vụ tự khai báo 19,79",
        "10,0 % đỉnh của phần được cấp",
        "Tối đa có thể 104,13",
        "Được cấp, tính theo đỉnh 197,90",
        "tốt nhất từng đạt được: 70,7 %",
        "độ phủ 90,0 %",
        "không có số đo: 7",
        "hai tác vụ giữa hai lần đo: 3",
        "Nguồn: tác vụ tự khai báo, bộ đếm tensor của trình điều khiển, thời gian không đo được",
        "Mô phỏng",
        "Bảng đỉnh 2026-11.2",
    ):
        assert words in text, words
    assert "Không quan sát được 10 10,0 %" in text
    assert "Hữu ích 40 40,0 %" in text  # 100 − 10 − 20 − 15 − 5 − 4 − 6
    assert "H100 SXM 50,00 chưa rõ 32,96 10" in text  # kWh, no PUE, × 0.6592
    assert "hệ số phát thải của lưới điện Việt Nam năm 2023" in text
    assert html.count(b'<rect class="chart-own"') == html.count(b'<rect class="chart-imported"') == 1


def test_a_type_that_the_peak_table_lacks_is_unknown(manager: Client, day: OrganisationDay) -> None:
    day.gpu_type = "v100"
    day.save()
    manager.cookies["django_language"] = "en"
    response = manager.get(ADDRESS)
    text = text_of(response.content)
    assert "Possible at most unknown" in text
    assert "chart-own" not in response.content.decode()


def test_the_spreadsheet_adds_up_to_the_microsecond(manager: Client, day: OrganisationDay) -> None:
    OrganisationDay.objects.update(observed_us=90 * HOUR * 10**6 + 1, gap_us=7 * HOUR * 10**6 - 1)
    response = manager.get(f"/reports/sao-mai/throughput.csv{JUNE}")
    header, row = csv.reader(io.StringIO(response.content.decode("utf-8-sig")))
    assert len(header) == len(row)
    steps = [Decimal(cell) for cell in row[18:24]]
    assert sum(steps) == Decimal(row[3])
    assert row[:5] == ["2026-06-10", "h100", "360000", "324000.000001", "35999.999999"]
    assert row[5:9] == ["0", "10800", "0", "25199.999999"]
    assert float(row[9]) == pytest.approx(0.01979)


def test_without_figures_it_says_so(manager: Client) -> None:
    assert "Không có lần chạy nào kết thúc" in text_of(manager.get(ADDRESS).content)


def test_a_year_asks_as_often_as_a_day(manager: Client, day: OrganisationDay) -> None:
    for number in range(1, 29):
        OrganisationDay.objects.create(organisation=day.organisation, gpu_type="h200", day=date(2026, 6, number))
    whole = queries_of(manager, "/reports/sao-mai/throughput/?from=2026-01-01&to=2026-12-31")
    assert whole == queries_of(manager, "/reports/sao-mai/throughput/?from=2026-06-10&to=2026-06-10") <= QUERIES_MOST
