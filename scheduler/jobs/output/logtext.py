"""A log's bytes as text that a page may show. Pure. Whoever wrote them may have meant harm, or only a progress bar."""

import re

# What a terminal would obey: colours and moves (CSI), titles and links (OSC and its kin, to BEL or ST), the rest.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|\x9b[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]{0,4}[0-~]?"
)
# Marks that turn the order of letters round or hide them: a line could read otherwise than it is.
_HIDDEN = re.compile("[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BINARY_SHARE = 0.1
LINE_LENGTH = 2_000  # characters; what is longer is cut, and says so


def is_binary(data: bytes) -> bool:
    """A NUL, or more than a tenth that no text has. Escape sequences and broken UTF-8 alone do not make a binary."""
    if not data:
        return False
    odd = sum(data.count(bytes([code])) for code in (*range(0, 8), *range(14, 27), *range(28, 32)))
    return b"\0" in data or odd > _BINARY_SHARE * len(data)


def shown(data: bytes, *, is_cut: bool = False) -> str:
    """Lines without escape sequences and control characters; what is no UTF-8 becomes �.

    `is_cut`: the first line is the rest of one and is left out. A carriage return overwrites its line, as on a
    terminal: of a progress bar the last state stays.
    """
    if is_cut:
        _half, newline, rest = data.partition(b"\n")
        # One endless line: better its rest than nothing. What is left of a character that was cut in two goes.
        data = rest if newline and rest else data.lstrip(bytes(range(0x80, 0xC0)))
    text = _ESCAPES.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n"))
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    states = [state for state in line.split("\r") if state.strip()]
    plain = _CONTROLS.sub("�", _HIDDEN.sub("�", states[-1])) if states else ""
    return plain if len(plain) <= LINE_LENGTH else plain[:LINE_LENGTH] + " …"
