from django.utils.formats import number_format

_UNITS = (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10))  # as people's computers show sizes: 1,024 to the next


def size_text(size_bytes: int) -> str:
    """A size as short as tells enough: "20 MB", "1.4 MB", "340 KB", "12 B"."""
    for unit, size in _UNITS:
        if size_bytes >= size:
            decimals = 0 if size_bytes >= 10 * size or size_bytes % size == 0 else 1
            return f"{number_format(size_bytes / size, decimals, use_l10n=True)}\N{NO-BREAK SPACE}{unit}"
    return f"{size_bytes}\N{NO-BREAK SPACE}B"
