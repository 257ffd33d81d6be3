"""The page, its chart, its CSV, its cards."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date

import pytest
from django.test import Client
from django.utils import translation

from monitoring.days import Days
from monitoring.reports.chart import chart_of
from monitoring.reports.selectors import Line
from portal.clock import centre_date, now
from portal.people.models import Membership, Organisation, Project, User
from portal.people.services import project_create
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from tests import factories
from tests.monitoring.conftest import RunOf
from tests.quotas import makers

JUNE = "?from=2026-06-01&to=2026-06-30"
ClientOf = Callable[[User], Client]


@pytest.fixture
def manager(client_of: ClientOf, organisation_manager: User) -> Client:
    return client_of(organisation_manager)


def text_of(html: bytes) -> str:
    """What is read, without tags and with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.decode()))


# --- the page -----------------------------------------------------------------------------------------------------


def test_it_shows_the_figures_the_chart_and_three_tables(
    manager: Client, researcher: User, allocation: Allocation, run_of: RunOf
) -> None:
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00", gpus=2)
    response = manager.get(f"/reports/sao-mai/{JUNE}")
    text = text_of(response.content)
    assert "Được cấp 100.000" in text
    for words in ("Theo ngày", "Theo dự án", "Theo người", "Lê Quang Minh", "Mô hình tiếng Việt", "01/06/2026"):
        assert words in text
    assert 'title="7.200 giây GPU"' in response.content.decode()
    assert "Nguồn: sổ cái và bản ghi của slurmdbd" in text


def test_it_speaks_english(manager: Client, allocation: Allocation, run_of: RunOf) -> None:
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00")
    manager.cookies["django_language"] = "en"
    text = text_of(manager.get(f"/reports/sao-mai/{JUNE}").content)
    for words in ("Granted + overrun = consumed + held + remaining + expired.", "By day", "Source: ledger"):
        assert words in text


def test_it_needs_no_inline_style_and_no_script(manager: Client, allocation: Allocation, run_of: RunOf) -> None:
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00")
    html = manager.get(f"/reports/sao-mai/{JUNE}").content.decode()
    assert not re.search(r'\sstyle="|<style|\son[a-z]+="', html)


def test_the_chart_has_a_title_a_description_and_a_table_beneath(
    manager: Client, allocation: Allocation, run_of: RunOf
) -> None:
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00")
    html = manager.get(f"/reports/sao-mai/{JUNE}").content.decode()
    svg = re.search(r'<svg[^>]*role="img" aria-labelledby="(\S+) (\S+)".*?</svg>', html, re.DOTALL)
    assert svg is not None
    assert f'<title id="{svg[1]}">Giờ GPU H100 theo ngày</title>' in svg[0]
    assert f'<desc id="{svg[2]}">Tổng cộng 2 giờ GPU, nhiều nhất 1 vào 01/06/2026.' in svg[0]
    assert svg[0].count("<g>") == 30
    assert html.index('aria-labelledby="day-title"', svg.end()) > svg.end()


def test_it_begins_with_this_month(manager: Client, allocation: Allocation) -> None:
    today = centre_date(now())
    html = manager.get("/reports/sao-mai/").content.decode()
    assert f'href="?from={today.replace(day=1)}&amp;to={today}"' in html  # the permanent link


def test_an_organisation_without_an_award_is_told_so(manager: Client) -> None:
    assert "Chưa được cấp giờ GPU nào" in text_of(manager.get("/reports/sao-mai/").content)


def test_days_without_usage_are_told_so(manager: Client, allocation: Allocation) -> None:
    assert "Không có lượng sử dụng nào" in text_of(manager.get(f"/reports/sao-mai/{JUNE}").content)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?from=2026-06-30&to=2026-06-01", "Ngày cuối đứng trước ngày đầu."),
        ("?from=1999-01-01&to=2026-06-01", "Một báo cáo bao gồm nhiều nhất mười năm."),
        ("?from=0001-01-01&to=2026-06-01", "Hãy chọn ngày từ 1970-01-01 trở đi."),
        ("?from=nonsense&to=2026-06-01", "Từ ngày"),
        ("?from=2026-06-01", "Đến ngày"),
    ],
)
def test_bad_days_are_refused_beside_the_field(
    manager: Client, allocation: Allocation, query: str, message: str
) -> None:
    for address in ("/reports/sao-mai/", "/reports/sao-mai/usage.csv"):
        response = manager.get(address + query)
        assert response.status_code == 422
        assert message in text_of(response.content)
        assert 'class="field-error"' in response.content.decode()


def test_a_long_table_has_pages_and_one_total(manager: Client, allocation: Allocation, run_of: RunOf) -> None:
    for number in range(33):
        run_of(allocation, "2026-06-01 10:00", "2026-06-01 11:00", user=f"person{number:02}")
    first = manager.get(f"/reports/sao-mai/{JUNE}").content.decode()
    second = manager.get(f"/reports/sao-mai/{JUNE}&person_page=2").content.decode()
    assert "<code>person30</code>" in first
    assert "<code>person31</code>" not in first
    assert "<code>person31</code>" in second
    assert f'href="{JUNE.replace("&", "&amp;")}&amp;person_page=2#person-title"' in first
    assert "Tổng cộng 33" in text_of(second.encode())


def test_imported_history_is_marked(manager: Client, allocation: Allocation, run_of: RunOf) -> None:
    run_of(allocation, "2026-06-01 10:00", "2026-06-01 12:00", imported=True)
    text = text_of(manager.get(f"/reports/sao-mai/{JUNE}").content)
    assert "trong đó 2 nhập từ lịch sử" in text
    assert "Lịch sử nhập vào" in text


# --- who ----------------------------------------------------------------------------------------------------------


def test_a_manager_sees_no_other_organisations_report(
    client_of: ClientOf, outsider: User, allocation: Allocation
) -> None:
    assert client_of(outsider).get("/reports/sao-mai/").status_code == 404
    assert client_of(outsider).get("/reports/sao-mai/usage.csv").status_code == 404


def test_a_researcher_does_not_see_what_colleagues_use(
    client_of: ClientOf, researcher: User, allocation: Allocation
) -> None:
    client = client_of(researcher)
    assert client.get("/reports/sao-mai/").status_code == 404
    assert client.get("/reports/sao-mai/card/").status_code == 204


def test_an_auditor_chooses_among_all(
    client_of: ClientOf, auditor: User, organisation: Organisation, other_organisation: Organisation
) -> None:
    html = client_of(auditor).get("/reports/").content.decode()
    assert 'href="/reports/sao-mai/"' in html
    assert 'href="/reports/hong-lam/"' in html


def test_a_manager_of_one_goes_straight_to_its_report(manager: Client) -> None:
    response = manager.get("/reports/")
    assert (response.status_code, response.headers["Location"]) == (302, "/reports/sao-mai/")


def test_the_navigation_leads_to_reports_only_for_those_who_have_one(
    client_of: ClientOf, manager: Client, researcher: User
) -> None:
    assert 'href="/reports/"' in manager.get("/").content.decode()
    assert 'href="/reports/"' not in client_of(researcher).get("/").content.decode()


# --- the spreadsheet ----------------------------------------------------------------------------------------------


def rows_of(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_csv_has_every_number_of_the_page(
    manager: Client, researcher: User, allocation: Allocation, run_of: RunOf
) -> None:
    run_of(allocation, "2026-06-01 23:00", "2026-06-02 01:00", gpus=2)
    manager.cookies["django_language"] = "en"
    response = manager.get(f"/reports/sao-mai/usage.csv{JUNE}")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="saola-sao-mai-2026-06-01-2026-06-30.csv"' in response.headers["Content-Disposition"]
    header, *rows = rows_of(response.content)
    assert header[3:6] == ["GPU type", "GPU-seconds", "GPU-hours"]
    assert {(row[1], row[4]) for row in rows[:6]} == {
        ("Granted", "360000000"),
        ("Overrun", "0"),
        ("Consumed", "14400"),
        ("Held", "0"),
        ("Remaining", "359985600"),
        ("Expired", "0"),
    }
    ends = ["2026-06-01", "2026-06-30"]
    assert rows[6:] == [
        ["By day", "2026-06-01", "", "h100", "7200", "2.0", *ends],
        ["By day", "2026-06-02", "", "h100", "7200", "2.0", *ends],
        ["By project", "mo-hinh-tieng-viet", "Mô hình tiếng Việt", "h100", "14400", "4.0", *ends],
        ["By person", "minh", "Lê Quang Minh", "h100", "14400", "4.0", *ends],
    ]


def test_a_title_that_a_spreadsheet_would_run_comes_out_as_text(
    manager: Client, organisation: Organisation, programme: Programme, run_of: RunOf
) -> None:
    evil = project_create(organisation=organisation, title='=HYPERLINK("http://x.example";"y")', slug="evil")
    one = makers.award(evil, programme, gpu_seconds=10 * makers.HOUR)
    run_of(one, "2026-06-01 10:00", "2026-06-01 11:00")
    names = [row[2] for row in rows_of(manager.get(f"/reports/sao-mai/usage.csv{JUNE}").content)]
    assert '\'=HYPERLINK("http://x.example";"y")' in names
    assert not [name for name in names if name.startswith("=")]


def test_the_csv_has_the_rows_of_all_pages(manager: Client, allocation: Allocation, run_of: RunOf) -> None:
    for number in range(33):
        run_of(allocation, "2026-06-01 10:00", "2026-06-01 11:00", user=f"person{number:02}")
    rows = rows_of(manager.get(f"/reports/sao-mai/usage.csv{JUNE}&person_page=2").content)
    assert len([row for row in rows if row[1].startswith("person")]) == 33


# --- cards --------------------------------------------------------------------------------------------------------


def test_the_card_of_the_organisation_draws_its_last_30_days(
    manager: Client, allocation: Allocation, run_of: RunOf
) -> None:
    today = centre_date(now())
    run_of(allocation, f"{today} 00:00", f"{today} 01:00")
    html = manager.get("/reports/sao-mai/card/").content.decode()
    assert html.count("<g>") == 30
    assert f"to={today}" in html


def test_the_card_on_the_home_page_has_each_managed_organisation(
    client_of: ClientOf,
    organisation_manager: User,
    allocation: Allocation,
    other_organisation: Organisation,
    other_project: Project,
    programme: Programme,
) -> None:
    makers.award(other_project, programme, gpu_seconds=makers.HOUR)
    factories.member(organisation_manager, other_organisation, Membership.Role.MANAGER)
    text = text_of(client_of(organisation_manager).get("/reports/cards/home/").content)
    assert "Công ty Sao Mai AI: Sử dụng trong 30 ngày qua" in text
    assert "Đại học Hồng Lam: Sử dụng trong 30 ngày qua" in text


# --- the chart's geometry -----------------------------------------------------------------------------------------


def line(own: int, imported: int = 0) -> Line:
    made = Line()
    made.add("h100", own, imported=False)
    made.add("h100", imported, imported=True)
    return made


def test_the_axis_ends_at_a_round_number_above_the_highest_day() -> None:
    days = Days(date(2026, 6, 1), date(2026, 6, 2))
    tops = [chart_of("h100", {days.first: line(used)}, days, id="c").top for used in (1, 3_600, 3_601, 70 * 3_600)]
    assert tops == [72, 3_600, 7_200, 100 * 3_600]


def test_bars_of_imported_history_stand_under_the_others() -> None:
    days = Days(date(2026, 6, 1), date(2026, 6, 1))
    (bar,) = chart_of("h100", {days.first: line(1_800, imported=1_800)}, days, id="c").bars
    assert (bar.own_y, bar.own_height, bar.imported_y, bar.imported_height) == ("0.00", "50.00", "50.00", "50.00")


def test_coordinates_have_a_point_in_every_language() -> None:
    days = Days(date(2026, 6, 1), date(2026, 6, 1))
    with translation.override("vi"):
        (bar,) = chart_of("h100", {days.first: line(1_234)}, days, id="c").bars
        assert "," not in bar.own_height


def test_a_long_range_is_drawn_by_month() -> None:
    days = Days(date(2024, 1, 15), date(2026, 6, 1))
    chart = chart_of("h100", {date(2024, 1, 20): line(5), date(2024, 1, 31): line(6)}, days, id="c")
    assert (len(chart.bars), chart.bars[0].amount, chart.by_month) == (30, 11, True)
    assert chart.ticks == [date(2024, 1, 1), date(2025, 4, 1), date(2026, 6, 1)]
