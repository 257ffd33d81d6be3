"""A statement as PDF. Typeset in a process of its own (typesetter.py), with limits of time and memory and nothing to
read but the portal's static files: whatever a name in a statement contains, it can neither fetch nor hang anything."""

import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language

from quotas.statements.errors import TypesettingFailed
from quotas.statements.renderers.document import Document

TIME_LIMIT_S = 120
TYPESETTER = Path(__file__).with_name("typesetter.py")
STATIC = Path(settings.BASE_DIR, "templates", "static")
_SAID = 2_000  # characters of what it said, for the log


def pdf_of(document: Document) -> bytes:
    """In the active language. Raises TypesettingFailed."""
    html = render_to_string("statements/pdf.html", {"document": document, "language": get_language()})
    return typeset(html)


def typeset(html: str, *, time_limit_s: int = TIME_LIMIT_S) -> bytes:
    """Raises TypesettingFailed."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(TYPESETTER), str(STATIC)],
            input=html.encode(),
            capture_output=True,
            timeout=time_limit_s,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TypesettingFailed(f"not done after {time_limit_s} s") from error
    if done.returncode or not done.stdout.startswith(b"%PDF-"):
        said = done.stderr.decode(errors="replace")[-_SAID:]
        raise TypesettingFailed(f"the typesetter ended with {done.returncode}: {said}")
    return done.stdout
