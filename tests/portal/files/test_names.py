"""What a file is called. A name comes from a stranger's computer and goes to another's."""

import unicodedata
from email.message import Message
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.files.errors import NameInvalid
from portal.files.names import LENGTH_LIMIT_BYTES, content_disposition, name_clean

RIGHT_TO_LEFT = "\N{RIGHT-TO-LEFT OVERRIDE}"


def clean(name: str) -> str:
    return name_clean(name, suffix=".pdf")


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("Báo cáo tổng kết.PDF", "Báo cáo tổng kết.pdf"),
        (unicodedata.normalize("NFD", "Đề xuất.pdf"), "Đề xuất.pdf"),  # as a Mac writes it
        (f"hop-dong{RIGHT_TO_LEFT}fdp.exe", "hop-dongfdp.exe.pdf"),
        ("a\r\nSet-Cookie: x=1.pdf", "a Set-Cookie_ x=1.pdf"),
        ("  .hidden .pdf", "hidden.pdf"),
        ("report.pdf. . ", "report.pdf"),
        ("a\N{ZERO WIDTH SPACE}b\x00c.pdf".replace("\x00", "\x07"), "abc.pdf"),
        ('what? "this": <x>|*.pdf', "what_ _this__ _x___.pdf"),
        ("invoice.exe", "invoice.exe.pdf"),
        ("\N{MEMO}.pdf", "\N{MEMO}.pdf"),
        ("đ" * 300, "đ" * 98 + ".pdf"),
    ],
)
def test_a_name_stays_readable(given_name: str, shown: str) -> None:
    assert clean(given_name) == shown


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd.pdf",
        "..\\..\\windows\\win.pdf",
        "/etc/passwd",
        "C:\\temp\\a.pdf",
        "a\0.pdf",
        "..",
        ".",
        "",
        ".pdf",
        "   ",
        RIGHT_TO_LEFT,
        "….pdf",
        "\N{COMBINING ACUTE ACCENT}.pdf",
    ],
)
def test_a_path_and_a_name_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(NameInvalid):
        clean(name)


# Names that look for trouble, beside any text at all.
NAMES = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="./\\ a\0\u202e\u0301\u0110\ud800<>:\r\n\u00a0\u2028%;\"'*pdfPDF", max_size=60),
    st.builds(lambda stem: stem + ".pdf", st.text(max_size=300)),
)


@given(NAMES)
@example("\u1100" * 99 + "\u1161.pdf")
@example("a" + "\u0301" * 200 + ".pdf")
def test_a_clean_name_keeps_its_promises(name: str) -> None:
    try:
        shown = clean(name)
    except NameInvalid:
        return
    assert clean(shown) == shown
    assert not set("/\\\0") & set(name)
    assert shown.endswith(".pdf")
    assert len(shown.encode()) <= LENGTH_LIMIT_BYTES
    assert unicodedata.is_normalized("NFC", shown)
    assert not any(unicodedata.category(sign)[0] == "C" for sign in shown)
    assert not any(sign.isspace() and sign != " " for sign in shown)
    assert shown == shown.strip(" .")
    assert shown not in (".pdf", "..pdf")


@given(NAMES)
def test_what_a_browser_reads_from_the_header_is_the_name(name: str) -> None:
    try:
        shown = clean(name)
    except NameInvalid:
        return
    header = content_disposition(shown)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    assert message.get_content_disposition() == "attachment"
    assert unquote(header.rpartition("UTF-8''")[2]) == shown
    # The old form: a plain quoted string that says nothing else.
    old = header.removeprefix('attachment; filename="').partition('"; filename*=')[0]
    assert not set('"\\%') & set(old)
    assert old.endswith(".pdf")


def test_old_programs_get_vietnamese_without_its_marks() -> None:
    assert content_disposition("Đề xuất 1.pdf") == (
        "attachment; filename=\"De xuat 1.pdf\"; filename*=UTF-8''%C4%90%E1%BB%81%20xu%E1%BA%A5t%201.pdf"
    )
