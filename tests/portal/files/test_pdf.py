"""What is a PDF here, and what is not, whatever it is called."""

import io
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from django.utils.functional import Promise

from portal.files import pdf as rules
from portal.files.content import PDF, content_check
from portal.files.errors import FileTypeRefused
from tests.portal.files.making import GOOD, SAMPLES, packed_objects, pdf, stream

SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"
MEGABYTE = 1024 * 1024


def check(content: bytes) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        return content_check(file, allowed={PDF})


def said(content: bytes) -> str:
    with pytest.raises(FileTypeRefused) as refused:
        check(content)
    return str(refused.value)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_what_programs_write_is_accepted(path: Path) -> None:
    assert check(path.read_bytes()) == PDF


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("refused-script.pdf", rules.ACTIVE),
        ("refused-script-packed.pdf", rules.ACTIVE),
        ("refused-attachment.pdf", rules.ATTACHED),
        ("refused-encrypted.pdf", rules.ENCRYPTED),
    ],
)
def test_what_programs_write_with_more_in_it_is_refused(name: str, why: Promise) -> None:
    assert said((SAMPLES / name).read_bytes()) == str(why)


@pytest.mark.parametrize(
    "content",
    [
        pdf(),
        pdf(before=b"\xef\xbb\xbf\r\n"),
        pdf(before=b"\n" * 900),
        pdf(packed_objects(b"<< /Type /Annot >>", b"(just text)")),
        pdf(root=b"/OpenAction [3 0 R /Fit]"),  # LaTeX's way to say which page comes first
        pdf(b"<< /S /URI /URI (https://example.org/JavaScript/Launch/) >>"),
        pdf(packed_objects(b"<< /S /URI /URI (https://example.org/JavaScript) >>")),
        pdf(text="a paper on Launch and JavaScript"),
        pdf(stream(os.urandom(300_000), b"/Subtype /Image /Filter /DCTDecode")),
    ],
    ids=[
        "plain",
        "byte order mark",
        "blank lines",
        "packed",
        "first page",
        "link",
        "packed link",
        "words",
        "noise",
    ],
)
def test_a_plain_document_is_accepted(content: bytes) -> None:
    assert check(content) == PDF


def zip_of(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"<html><script>alert(1)</script></html>",
        b"MZ\x90\0" + b"\0" * 2000,
        b"\x7fELF" + b"\0" * 2000,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 2000,
        b"PDF-1.7",
        b"%PDF",
        b"%PDF-9.9\n",
        b"#!/bin/sh\n" + pdf(),
        b"<html><script>alert(1)</script>\n" + pdf(),
        zip_of("a.txt", b"x") + pdf(),
        b"\n" * 1100 + pdf(),
        b" ",
        "Đây không phải PDF".encode(),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_another_content_behind_the_name_is_refused(content: bytes) -> None:
    assert said(content) == str(rules.NOT_A_PDF)


def test_a_zip_bomb_behind_the_name_is_refused() -> None:
    assert said(zip_of("a.txt", b"0" * 100 * MEGABYTE)) == str(rules.NOT_A_PDF)


def test_a_page_that_was_scanned_white_is_accepted() -> None:
    assert check(pdf(stream(b"\xff" * 200 * MEGABYTE, b"/Subtype /Image /Filter /FlateDecode"))) == PDF


def test_an_empty_file_is_refused() -> None:
    assert said(b"")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_upload_is_refused(part: float) -> None:
    content = (SAMPLES / "weasyprint.pdf").read_bytes()
    assert said(content[: int(len(content) * part)]) == str(rules.DAMAGED)


@pytest.mark.parametrize(
    "content",
    [
        pdf().replace(b"startxref\n", b"startxref\n1"),  # points beyond the end
        pdf()[:-60] + b"startxref\n9\n%%EOF",  # points at no table
        b"%PDF-1.4\nstartxref\n0\n%%EOF\n",
        pdf() + b"<!-- more -->",
        pdf().replace(b"/Root", b"/Rooo"),
    ],
    ids=["beyond", "no table", "nothing", "more", "no root"],
)
def test_a_file_that_only_begins_and_ends_like_a_pdf_is_refused(content: bytes) -> None:
    assert said(content) == str(rules.DAMAGED)


def test_two_types_in_one_file_are_refused() -> None:
    archive = zip_of("evil.exe", b"MZ" * 100)
    # The PDF in the archive's comment, the archive in the PDF: both kinds of programs find what they look for.
    inside = pdf(stream(archive, b""))
    tail = len(inside) - inside.rfind(b"PK\5\6") - 22
    both = inside[: inside.rfind(b"PK\5\6") + 20] + tail.to_bytes(2, "little") + inside[inside.rfind(b"PK\5\6") + 22 :]
    with zipfile.ZipFile(io.BytesIO(both)) as read:
        assert read.namelist() == ["evil.exe"]
    assert said(both) == str(rules.TWO_TYPES)
    assert said(pdf(head=b"%<script>alert(1)</script>\n")) == str(rules.TWO_TYPES)
    assert said(pdf(stream(b"Rar!\x1a\x07\x01\0", b""))) == str(rules.TWO_TYPES)
    assert said(pdf() + archive) == str(rules.DAMAGED)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pdf(SCRIPT), rules.ACTIVE),
        (pdf(SCRIPT.replace(b"/JavaScript", b"/J#61va#53cript")), rules.ACTIVE),
        (pdf(SCRIPT.replace(b"/JavaScript", b"/#4a#61#76#61#53#63#72#69#70#74")), rules.ACTIVE),
        (pdf(packed_objects(b"<< /Type /Annot >>", SCRIPT)), rules.ACTIVE),
        (pdf(packed_objects(b"(%b)" % (b"x" * 70_000), SCRIPT)), rules.ACTIVE),  # beyond the first piece
        (pdf(stream(b"endstream stream\n", b""), packed_objects(SCRIPT)), rules.ACTIVE),
        (pdf(stream(b"7 0 obj stream\n" + zlib.compress(b"90 0 " + SCRIPT), b"")), rules.ACTIVE),
        (pdf(SCRIPT.replace(b"/JavaScript", b"%(http://x\n/JavaScript")), rules.ACTIVE),
        (pdf(b"(https://example.org/JavaScript)", SCRIPT), rules.ACTIVE),
        (pdf(b"<< /S /Launch /F (calc.exe) >>"), rules.ACTIVE),
        (pdf(b"<< /S /SubmitForm /F (https://example.org) >>"), rules.ACTIVE),
        (pdf(root=b"/AcroForm << /XFA 6 0 R >>"), rules.ACTIVE),
        (pdf(root=b"/Names << /EmbeddedFiles 6 0 R >>"), rules.ATTACHED),
        (pdf(packed_objects(b"<< /Type /EmbeddedFile >>")), rules.ATTACHED),
        (pdf().replace(b"/Size", b"/Encrypt 6 0 R /Size"), rules.ENCRYPTED),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_what_acts_or_hides_is_refused(content: bytes, why: Promise) -> None:
    assert said(content) == str(why)


@pytest.mark.parametrize("cut", range(rules._PIECE_BYTES - 40, rules._PIECE_BYTES + 40, 7))
def test_a_script_across_two_pieces_is_found(cut: int) -> None:
    assert said(pdf(packed_objects(b"(%b)" % (b"x" * (cut + 512)), SCRIPT))) == str(rules.ACTIVE)


@pytest.mark.parametrize(
    "made",
    [
        lambda: pdf(stream(b" " * 200 * MEGABYTE)),
        lambda: pdf(stream(b"1 0 " * 50 * MEGABYTE)),
        lambda: pdf(*[packed_objects(b" " * 10 * MEGABYTE)] * 20),
        lambda: pdf(stream(zlib.compress(b" " * 200 * MEGABYTE, 9), b"/Filter [/FlateDecode /FlateDecode]")),
        lambda: pdf(head=b"stream \x78\x9c" * 250_000),
    ],
    ids=["spaces", "numbers", "many", "twice", "beginnings"],
)
def test_a_bomb_is_refused_without_being_unpacked(made: Callable[[], bytes]) -> None:
    content = made()
    began = time.process_time()
    assert said(content) == str(rules.BOMB)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "filling",
    [b"/Java ", b"stream ", b"/Flate ", b"obj ", b"PK\5\6", b"((((", b"#4a/#4", b"\0\n ", b"(http://a/Launch"],
    ids=repr,
)
def test_a_large_file_made_to_be_slow_is_checked_in_seconds(filling: bytes) -> None:
    content = pdf(head=b"%x\n" + filling * (19 * MEGABYTE // len(filling)))
    began = time.process_time()
    with suppress(FileTypeRefused):
        check(content)
    assert time.process_time() - began < 5
