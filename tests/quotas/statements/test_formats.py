"""Page, PDF, XLSX, CSV and JSON say the same numbers: each is read back and compared with the statement's content."""

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.utils import translation
from openpyxl import load_workbook
from pypdf import PdfReader

from portal.people.models import Project, User
from quotas.programmes.models import Programme
from quotas.statements.canonical import canonical, sha256_of
from quotas.statements.errors import TypesettingFailed
from quotas.statements.models import Statement
from quotas.statements.renderers.document import Document, document_of
from quotas.statements.renderers.pdf import pdf_of, typeset
from quotas.statements.services import files_make
from quotas.statements.templatetags.statements import cell
from tests.quotas.statements.making import OCTOBER, full_month, issue

pytestmark = pytest.mark.django_db
NUMBERS = ("gpu_seconds", "gpu_hours", "vnd", "count")


@pytest.fixture
def statement(project: Project, programme: Programme, organisation_manager: User) -> Statement:
    full_month(project, programme)
    return issue(OCTOBER)["sao-mai"]


def stored(statement: Statement, format: str, language: str = "") -> bytes:
    return bytes(statement.files.get(format=format, language=language).content)


def numbers_of(document: Document) -> list[int | Decimal]:
    """Every number of the document, in the order of its tables, rows and columns."""
    return [
        value
        for table in document.every_table
        for row in table.rows
        for column, value in zip(table.columns, row, strict=True)
        if column.kind in NUMBERS and isinstance(value, int | Decimal)
    ]


def document_in(statement: Statement, language: str) -> Document:
    with translation.override(language):
        return document_of(statement.read(), statement.sha256)


class Numbers(HTMLParser):
    """The texts of a page's number cells."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "td" and ("class", "num") in attrs

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found.append(data)
        self.inside = False


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_format_says_the_same_numbers(
    statement: Statement, language: str, client_of: Callable[[User], Client], organisation_manager: User
) -> None:
    assert files_make(statement_id=statement.pk) == 7
    document = document_in(statement, language)
    expected = numbers_of(document)
    assert len(expected) > 60

    [_head, *rows] = csv.reader(io.StringIO(stored(statement, "csv", language).decode().removeprefix("\ufeff")))
    assert [Decimal(row[4]) for row in rows] == expected

    book = load_workbook(io.BytesIO(stored(statement, "xlsx", language)))
    sheets = book.worksheets[1:]
    assert [
        value
        for sheet in sheets
        for row in sheet.iter_rows(min_row=2, values_only=True)
        for value in row
        if isinstance(value, int | float)
    ] == pytest.approx([float(value) for value in expected], abs=0)

    client = client_of(organisation_manager)
    client.cookies["django_language"] = language
    page = Numbers()
    page.feed(client.get(f"/statements/{statement.number}/").content.decode())
    with translation.override(language):
        written = [
            cell(value, column.kind)
            for table in document.every_table
            for row in table.rows
            for column, value in zip(table.columns, row, strict=True)
            if column.kind in NUMBERS
        ]
    assert page.found == written

    text = unicodedata.normalize("NFC", pdf_text(stored(statement, "pdf", language)))
    for number, times in Counter(text for text in written if len(text) > 3).items():
        assert len(re.findall(rf"(?<![\d.,−]){re.escape(number)}(?![\d]|[.,]\d)", text)) >= times, number
    assert document.title in text
    assert statement.number in text
    assert statement.sha256 in text.replace("\n", "")


def pdf_text(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


@pytest.mark.usefixtures("untypeset")
def test_the_json_file_is_what_was_hashed(statement: Statement) -> None:
    files_make(statement_id=statement.pk)
    content = stored(statement, "json").decode()

    assert sha256_of(content) == statement.sha256
    assert canonical(json.loads(content)) == content
    assert json.loads(content)["number"] == statement.number


def test_the_day_of_issue_is_the_centres(statement: Statement) -> None:
    content = statement.read() | {"issued_at": "2026-11-01T17:30:00+00:00"}  # half past midnight there
    with translation.override("en"):
        assert ("Issued", "02/11/2026") in document_of(content, statement.sha256).facts


def test_vietnamese_is_set_in_be_vietnam_pro(statement: Statement) -> None:
    with translation.override("vi"):
        pdf = pdf_of(document_of(statement.read(), statement.sha256))
    reader = PdfReader(io.BytesIO(pdf))
    fonts = {
        font.get_object()["/BaseFont"]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    # Letters from the two halves of one family, digits of equal width from the other; never a font of the machine's.
    names = {re.sub(r"^/[A-Z]{6}\+", "", name) for name in fonts}
    assert names
    assert all(name.startswith(("Be-Vietnam-Pro", "Saola-Figures")) for name in names), names
    assert "Bảng kê" in unicodedata.normalize("NFC", pdf_text(pdf))


@pytest.mark.usefixtures("untypeset")
def test_no_cell_is_a_formula(statement: Statement) -> None:
    files_make(statement_id=statement.pk)
    for language in ("vi", "en"):
        rows = list(csv.reader(io.StringIO(stored(statement, "csv", language).decode().removeprefix("\ufeff"))))
        texts = [text for row in rows for text in row if not re.fullmatch(r"-?[\d.]+", text)]
        assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t"))]
        assert any("HYPERLINK" in text for text in texts)
        book = load_workbook(io.BytesIO(stored(statement, "xlsx", language)))
        cells = [one for sheet in book.worksheets for row in sheet.iter_rows() for one in row]
        assert not [one for one in cells if one.data_type == "f"]
        assert [one.value for one in cells if "HYPERLINK" in str(one.value)]


@pytest.mark.usefixtures("untypeset")
def test_days_are_days_in_the_workbook(statement: Statement) -> None:
    files_make(statement_id=statement.pk)
    book = load_workbook(io.BytesIO(stored(statement, "xlsx", "vi")))
    [sheet] = [sheet for sheet in book.worksheets if "H100: " in str(sheet.title) or "H100  " in str(sheet.title)]
    assert sheet["A2"].value.date() == date(2026, 6, 1)


@pytest.mark.usefixtures("untypeset")
def test_files_are_made_once(statement: Statement) -> None:
    assert files_make(statement_id=statement.pk) == 7
    before = {row.pk: row.sha256 for row in statement.files.all()}
    assert files_make(statement_id=statement.pk) == 0
    assert {row.pk: row.sha256 for row in statement.files.all()} == before


def test_the_typesetter_reads_nothing_but_our_static_files() -> None:
    addresses = (
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.css",
        "static:../../manage.py",
        "static:/../../../etc/passwd",
        "x.css",
    )
    links = "".join(f'<link rel="stylesheet" href="{address}">' for address in addresses)
    images = "".join(f'<p>text <img src="{address}" alt="gone"></p>' for address in addresses)
    pdf = typeset(f'<html><head>{links}</head><body><a href="x">x</a>{images}</body></html>')
    assert b"root:" not in pdf
    assert pdf_text(pdf).count("gone") == len(addresses)  # WeasyPrint leaves out what it cannot have


def test_the_typesetter_is_ended_at_its_limits() -> None:
    endless = "<table>" + "<tr><td>x</td></tr>" * 300_000 + "</table>"
    with pytest.raises(TypesettingFailed, match="not done after 2 s"):
        typeset(endless, time_limit_s=2)
