import csv
import io

import pytest

from portal.spreadsheet import cell, csv_text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_text_that_a_spreadsheet_would_run_is_neutralised(text: str) -> None:
    assert cell(text) == "'" + text


def test_numbers_and_plain_texts_stay_as_they_are() -> None:
    assert [cell(value) for value in (-5, 0.25, "Mô hình = tốt", "")] == ["-5", "0.25", "Mô hình = tốt", ""]


def test_excel_reads_it_as_utf_8_and_quotes_survive() -> None:
    text = csv_text([["Tên", 'a "b", c'], ["hai\ndòng", 7]])
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text[1:], newline=""))) == [["Tên", 'a "b", c'], ["hai\ndòng", "7"]]
