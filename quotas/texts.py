"""What a name and a text may contain. A project's title reaches accounts, mails and CSV files, so it is kept plain."""

import unicodedata

# What a shell, an accounting command or a spreadsheet might take for something else. Typographic marks (“ ” ’) are
# fine.
_UNWELCOME = frozenset("\"'`\\$;|<>")
# Controls, invisible direction marks, private and unassigned code points.
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})


def is_plain_name(text: str) -> bool:
    """One line of visible characters, none of them a straight quotation mark or a shell's own."""
    return not any(char in _UNWELCOME or unicodedata.category(char) in _INVISIBLE for char in text)


def is_plain_text(text: str) -> bool:
    """Visible characters, line breaks and tabs."""
    return not any(unicodedata.category(char) in _INVISIBLE for char in text if char not in "\r\n\t")
