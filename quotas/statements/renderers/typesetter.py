"""HTML on standard input, PDF on standard output. Run as a program of its own, by its path: it imports nothing of the
project, knows no secret, and limits itself before it reads anything.

    python -I typesetter.py STATIC_DIRECTORY < statement.html > statement.pdf
"""

import resource
import sys
from pathlib import Path

MEMORY_LIMIT_BYTES = 1_500_000_000
CPU_LIMIT_S = 100
FILE_LIMIT_BYTES = 64_000_000  # also of its temporary files
TYPES = {".css": "text/css", ".woff2": "font/woff2", ".svg": "image/svg+xml"}


def limits_set() -> None:
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_CPU, CPU_LIMIT_S),
        (resource.RLIMIT_FSIZE, FILE_LIMIT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


def static_file(static: Path, url: str) -> dict[str, object]:
    """What WeasyPrint gets for an address: a stylesheet, font or drawing of the static directory, else an error."""
    if not url.startswith("static:"):
        raise ValueError("a statement reads nothing but its own static files")
    path = (static / url.removeprefix("static:").lstrip("/")).resolve()
    if not path.is_relative_to(static) or path.suffix not in TYPES:
        raise ValueError("a statement reads nothing but its own static files")
    return {"string": path.read_bytes(), "mime_type": TYPES[path.suffix], "redirected_url": url}


def main(static: Path) -> None:
    limits_set()
    from weasyprint import HTML  # noqa: PLC0415  after the limits

    html = sys.stdin.buffer.read().decode()
    document = HTML(string=html, base_url="static:/", url_fetcher=lambda url, *_rest, **_more: static_file(static, url))
    sys.stdout.buffer.write(document.write_pdf(pdf_tags=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
