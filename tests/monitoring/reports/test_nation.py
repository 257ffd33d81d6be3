"""The nation's figures: whole for those who run the centre, and what is published of a quarter, once."""

import json
from datetime import date
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from monitoring.days import Days
from monitoring.reports.models import Publication
from monitoring.reports.nation.figures import content_of
from monitoring.reports.nation.quarters import Quarter
from monitoring.reports.services import quarters_publish
from monitoring.rollups.models import FIGURES, NationDay, OrganisationDay
from portal.people.models import Organisation, User
from tests import factories
from tests.conftest import ClientOf
from tests.counting import QUERIES_MOST, queries_of
from tests.monitoring.conftest import hanoi
from tests.monitoring.reports.test_pages import text_of
from tests.portal.api.programs import program_of

pytestmark = pytest.mark.django_db
HOUR = 3_600
SECOND = Quarter(2026, 2)


def at_work(number: int, gpu_type: str, sector: str, group: str, month: int, hours: int = 100) -> OrganisationDay:
    slug = f"org-{number}"
    made = Organisation.objects.filter(slug=slug).first() or factories.organisation(
        f"Tổ chức {number}", slug, tax_code=f"{number:010d}"
    )
    us = hours * HOUR * 10**6
    return OrganisationDay.objects.create(
        organisation=made, gpu_type=gpu_type, day=date(2026, month, 10), sector=sector, product_group=group,
        allocated_gpu_seconds=hours * HOUR, observed_us=us, device_us=us, counter_us=us, cycles=hours * HOUR * 0.85e9,
        energy_j=hours * 3.6e6,
    )  # fmt: skip


@pytest.fixture
def nation() -> None:
    """Seven in health; two in finance, one of whom alone has H200; one in education."""
    for number in range(7):
        at_work(number, "h100", "health", "language_model", 4 + number % 3)
    at_work(7, "h100", "finance", "assistant", 4, hours=10)
    at_work(8, "h200", "finance", "assistant", 5, hours=20)
    at_work(9, "h100", "education", "vertical", 6, hours=5)


def test_small_cells_are_told_together_and_nothing_is_lost(nation: None) -> None:
    content = content_of(SECOND.days, 3)
    assert content is not None
    assert content["total"]["organisations"] == 10
    assert list(content["sector"]["shown"]) == ["health"]
    assert content["sector"]["others"]["organisations"] == 3
    for name in ("gpu_type", "sector", "product_group", "month"):
        rows = [*content[name]["shown"].values(), *([content[name]["others"]] if content[name]["others"] else [])]
        for end in ("lower", "upper", "allocated_peak"):
            total = content["total"]["fp8_eflop_hours"][end]
            assert sum(row["fp8_eflop_hours"][end] for row in rows) == pytest.approx(total)
        assert all(row["organisations"] >= 3 for row in rows)
    assert content["gpu_type"]["shown"] == {}  # one H200 user: H100 would tell by subtraction
    assert "org-8" not in json.dumps(content)


def test_too_few_organisations_tell_nothing(nation: None) -> None:
    assert content_of(SECOND.days, 11) is None
    assert content_of(Days(date(2025, 1, 1), date(2025, 12, 31)), 1) is None


def test_a_quarter_is_published_once_when_it_is_settled(nation: None, settings: Settings) -> None:
    settings.PUBLIC_LEAST_ORGANISATIONS = 3
    with time_machine.travel(hanoi("2026-07-15 23:59"), tick=False):
        assert quarters_publish() == []
    with time_machine.travel(hanoi("2026-07-16 00:01"), tick=False):
        assert [one.quarter for one in quarters_publish()] == ["2026-Q2"]
        assert quarters_publish() == []
    at_work(10, "h100", "finance", "assistant", 4)  # a late record: the difference would be its organisation's own
    with time_machine.travel(hanoi("2026-10-20 08:00"), tick=False):
        assert [one.quarter for one in quarters_publish()] == ["2026-Q3"]
    second, third = Publication.objects.order_by("quarter")
    assert second.content["total"]["organisations"] == 10
    assert third.content["total"] is None
    with pytest.raises(DatabaseError), transaction.atomic():
        second.delete()


def published(settings: Settings) -> Publication:
    settings.PUBLIC_LEAST_ORGANISATIONS = 3
    with time_machine.travel(hanoi("2026-07-20 08:00"), tick=False):
        return quarters_publish()[0]


def test_everybody_reads_what_is_published(nation: None, settings: Settings, client: Client, researcher: User) -> None:
    published(settings)
    text = text_of(client.get("/nation/").content)
    assert "quý 2 năm 2026" in text
    assert "Y tế 7" in text
    assert "Các mục còn lại gộp chung 3" in text
    assert "Tổ chức 8" not in text
    rows = client.get("/nation/2026-Q2.csv").content.decode()
    assert "Y tế" in rows
    assert client.get("/nation/2026-Q2.xlsx").content.startswith(b"PK")
    (told,) = program_of(researcher, "read").get("/api/v1/telemetry/nation/").json()["results"]
    assert told["sector"]["shown"]["health"]["organisations"] == 7


def test_nothing_is_published_yet(client: Client) -> None:
    assert "Chưa công bố số liệu nào" in text_of(client.get("/nation/").content)


def test_the_whole_nation_by_sector_on_page_file_and_command_alike(
    nation: None, client_of: ClientOf, operator: User
) -> None:
    for row in OrganisationDay.objects.all():
        nation_sum(row)
    client = client_of(operator)
    text = text_of(client.get("/nation/whole/?from=2026-04-01&to=2026-06-30").content)
    assert "Y tế" in text
    assert "Tài chính" in text
    out = StringIO()
    call_command("throughput_report", "--nation", "--from", "2026-04-01", "--to", "2026-06-30", "--json", stdout=out)
    told = json.loads(out.getvalue().splitlines()[-1])
    peak = told["sector_fp8_eflop_hours"]["finance"]["allocated_peak"]
    assert peak == pytest.approx(30 * 1.979e-3)
    assert told["all_types_fp8_eflop_hours"]["allocated_peak"] == pytest.approx(735 * 1.979e-3)
    rows = client.get("/nation/whole/figures.csv?from=2026-04-01&to=2026-06-30").content.decode().splitlines()
    assert len(rows) == 1 + 4  # three months of H100, one of H200
    whole = queries_of(client, "/nation/whole/?from=2026-01-01&to=2026-12-31")
    assert whole == queries_of(client, "/nation/whole/?from=2026-04-10&to=2026-04-10") <= QUERIES_MOST + 3


def nation_sum(row: OrganisationDay) -> None:
    """The nation's row of its day, from the organisations' as they stand."""
    keys = {name: getattr(row, name) for name in ("gpu_type", "sector", "product_group", "day")}
    total, _made = NationDay.objects.get_or_create(**keys)
    for name in FIGURES:
        setattr(total, name, getattr(total, name) + getattr(row, name))
    total.save()
