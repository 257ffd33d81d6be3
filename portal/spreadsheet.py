"""CSV for spreadsheets: UTF-8 with a byte order mark, and no cell that a spreadsheet would run as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: object) -> str:
    """A cell's text. Text that begins as a formula does gets an apostrophe before it; numbers stay numbers."""
    text = str(value)
    return "'" + text if isinstance(value, str) and text.startswith(_STARTS_A_FORMULA) else text


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """The whole file, beginning with the byte order mark without which Excel reads UTF-8 as something else."""
    out = io.StringIO()
    out.write("\ufeff")
    csv.writer(out).writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
