"""A log is shown as text, whatever is in it."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.jobs.output.logtext import LINE_LENGTH, is_binary, shown


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        ("mất mát: 0,31\n".encode(), "mất mát: 0,31\n"),
        (b"\x1b[31mred\x1b[0m \x1b[1;5;38;2;1;2;3mx\x1b[K", "red x"),
        (b"\x1b]0;a new title\x07here", "here"),
        (b"\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bPq#0;2;0;0;0\x1b\\after", "after"),
        (b"a\x1b", "a"),
        ("\x9b31mred".encode(), "red"),
        (b"\xff\xfe broken \xc3", "�� broken �"),
        (b"  0%|   |\r 50%|#  |\r100%|###|\nnext", "100%|###|\nnext"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        (b"bell\x07 back\x08space", "bell� back�space"),
        ("user\u202etxt.exe".encode(), "user�txt.exe"),
        ("zero\u200bwidth".encode(), "zero�width"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),  # the template escapes it
    ],
)
def test_it_shows_text(data: bytes, text: str) -> None:
    assert shown(data) == text


def test_a_cut_log_begins_with_a_whole_line() -> None:
    assert shown(b"half of it\nwhole\n", is_cut=True) == "whole\n"


def test_one_endless_line_is_cut_between_letters() -> None:
    assert shown("ế".encode()[1:] + b"abc", is_cut=True) == "abc"
    assert shown(b"x" * (LINE_LENGTH + 1)) == "x" * LINE_LENGTH + " …"


@pytest.mark.parametrize("data", [b"\x7fELF\x02\0\0\0", bytes(range(32)) * 9, b"a" * 100 + b"\0"])
def test_a_binary_is_one(data: bytes) -> None:
    assert is_binary(data)


@pytest.mark.parametrize("data", [b"", "mất mát".encode(), b"\x1b[31m" * 50, b"\xff\xfe\xfd", b"10%\r" * 50])
def test_text_is_no_binary(data: bytes) -> None:
    assert not is_binary(data)


@given(st.binary(max_size=3_000), st.booleans())
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_terminal_or_reader_obeys_is_left(data: bytes, is_cut: bool) -> None:
    text = shown(data, is_cut=is_cut)
    assert "\x1b" not in text
    # Unassigned and private characters are no commands; controls and formats are (the soft hyphen hides nothing).
    assert not [sign for sign in text if unicodedata.category(sign) == "Cc" and sign not in "\n\t"]
    assert not {"\u202e", "\u2066", "\u200b"} & set(text)
