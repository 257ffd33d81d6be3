"""A statement as a workbook: one sheet for the head, one for each table; numbers are numbers."""

import io
import re
from datetime import date
from decimal import Decimal

from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import Cell as XlsxCell
from openpyxl.styles import Alignment, Font
from openpyxl.worksheet.worksheet import Worksheet

from portal.spreadsheet import cell as neutral
from quotas.statements.renderers.document import Cell, Document, Table

_FORMATS = {
    "gpu_seconds": "#,##0",
    "gpu_hours": "#,##0.00",
    "vnd": "#,##0",
    "count": "#,##0",
    "measure": "#,##0.000",
    "day": "dd/mm/yyyy",
}
_STRONG = Font(bold=True)


def xlsx_of(document: Document) -> bytes:
    book = Workbook()
    head = book.active
    assert isinstance(head, Worksheet)
    head.title = document.kind or _("Statement")
    _text(head.cell(1, 1), f"{document.title} · {document.number}").font = _STRONG
    for number, (label, text) in enumerate(document.facts, start=3):
        _text(head.cell(number, 1), label)
        _text(head.cell(number, 2), text)
    head.column_dimensions["A"].width, head.column_dimensions["B"].width = 28, 70
    for table in document.every_table:
        _sheet(book.create_sheet(_sheet_name(table, book.sheetnames)), table)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet_name(table: Table, taken: list[str]) -> str:
    """Excel allows 31 characters and not all of them."""
    name = re.sub(r"[\\/*?:\[\]]", " ", table.title)[:31].strip("' ")
    return name if name not in taken else table.id[:31]


def _sheet(sheet: Worksheet, table: Table) -> None:
    for number, column in enumerate(table.columns, start=1):
        head = _text(sheet.cell(1, number), column.label)
        head.font, head.alignment = _STRONG, Alignment(wrap_text=True, vertical="top")
        sheet.column_dimensions[head.column_letter].width = 34 if column.kind == "text" else 18
    for row_number, row in enumerate(table.rows, start=2):
        for number, (column, value) in enumerate(zip(table.columns, row, strict=True), start=1):
            one = _value(sheet.cell(row_number, number), value)
            one.number_format = _FORMATS.get(column.kind, "General")
            if row_number - 2 in table.strong:
                one.font = _STRONG
    sheet.freeze_panes = "A2"


def _value(cell: XlsxCell, value: Cell) -> XlsxCell:
    if isinstance(value, str):
        return _text(cell, value)
    assert value is None or isinstance(value, int | date | Decimal)
    cell.value = value
    return cell


def _text(cell: XlsxCell, text: str) -> XlsxCell:
    """A text whatever it begins with: never a formula, neither here nor where it is copied to."""
    cell.value = neutral(text)
    cell.data_type = "s"
    return cell
