"""A month in a real browser: an operator closes it, the worker issues it, a manager loads down what the page says. How
the pages look is in tests/pages.
"""

import csv
import hashlib
import io
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Page, expect

from portal.outbox.services import messages_deliver
from portal.people.models import Project, User
from quotas.statements.models import Statement
from tests.browsers import PHONE, Desk, check
from tests.quotas import makers
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import full_month
from tests.quotas.statements.test_formats import pdf_text

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
FILES = {"all.json", *(f"{language}.{format}" for language in ("vi", "en") for format in ("csv", "xlsx", "pdf"))}


def downloads(page: Page) -> dict[str, bytes]:
    """Every file of the statement that the page shows, by the end of its address."""
    found = {}
    for link in page.locator(".statement-files a").all():
        with page.expect_download() as loading:
            link.click()
        found[str(link.get_attribute("href")).rpartition("/")[2]] = Path(loading.value.path()).read_bytes()
    return found


def test_a_month_is_closed_and_its_files_say_what_the_page_says(
    desk: Desk, project: Project, operator: User, organisation_manager: User
) -> None:
    with at(2026, 9, 1):
        programme = makers.programme(h200_hours=100)
    full_month(project, programme)
    page = desk(operator)
    page.goto("/statements/months/2026-10/")
    page.locator("[data-dialog=issue]").click()
    assert not Statement.objects.exists()
    page.locator("#issue button[type=submit]").click()
    expect(page.locator("#month [role=status]")).to_be_visible()
    while messages_deliver(queue="default"):  # what the worker does; the page asks for news by itself
        pass
    statement = Statement.objects.get()
    expect(page.get_by_role("link", name=statement.number)).to_be_visible()

    page = desk(organisation_manager, language="en", width=PHONE)
    page.goto("/statements/")  # one organisation: its page
    page.get_by_role("link", name=statement.number).click()
    check(page)
    written = [text.strip() for text in page.locator("main td.num").all_inner_texts() if text.strip()]
    numbers = [Decimal(text.replace(",", "").replace("−", "-")) for text in written]
    assert len(numbers) > 60
    files = downloads(page)
    assert set(files) == FILES
    kept = {hashlib.sha256(bytes(one.content)).hexdigest() for one in statement.files.all()}
    assert {hashlib.sha256(content).hexdigest() for content in files.values()} == kept

    [_head, *rows] = csv.reader(io.StringIO(files["en.csv"].decode("utf-8-sig")))
    assert [Decimal(row[4]) for row in rows] == numbers
    sheets = load_workbook(io.BytesIO(files["en.xlsx"])).worksheets[1:]
    cells = [value for sheet in sheets for row in sheet.iter_rows(min_row=2, values_only=True) for value in row]
    assert [one for one in cells if isinstance(one, int | float)] == pytest.approx([float(one) for one in numbers])
    text = pdf_text(files["en.pdf"])
    assert [one for one in written if one not in text] == []
