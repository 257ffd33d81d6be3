"""Sizes as people write them. Units are powers of 1024, as the pages show them."""

import re

UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_SIZE = re.compile(r"(\d{1,15})(?:[.,](\d{1,6}))?\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE | re.ASCII)


def size_parse(text: str) -> int:
    """Bytes of "1.5 TB", "120GB", "4096". Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    whole, part, unit = found[1], found[2] or "", found[3].upper()
    factor: int = 1024 ** (("", "K", "M", "G", "T", "P").index(unit))
    size = int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)
    if size >= 2**60:
        raise ValueError(text)
    return size


def size_input(size: int) -> str:
    """As the form is filled in: the largest unit that loses nothing."""
    place = 0
    while place < len(UNITS) - 1 and size and size % 1024 == 0:
        size, place = size // 1024, place + 1
    return f"{size} {UNITS[place]}"
