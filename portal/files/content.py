"""The types that are accepted, decided by content. What the browser or the name says is not asked."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from django.utils.translation import gettext as _

from portal.files.errors import FileTypeRefused
from portal.files.pdf import NOT_A_PDF, is_pdf, pdf_check

PDF = "application/pdf"


@dataclass(frozen=True)
class Type:
    suffix: str
    is_one: Callable[[mmap], bool]
    check: Callable[[mmap], None]  # raises FileTypeRefused


TYPES = {PDF: Type(".pdf", is_pdf, pdf_check)}


def content_check(file: BinaryIO, *, allowed: Collection[str]) -> str:
    """The type of a file's content, one of `allowed` (keys of TYPES). Raises FileTypeRefused."""
    file.flush()
    if file.seek(0, 2) == 0:
        raise FileTypeRefused(_("The file is empty."))
    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        for name in sorted(allowed):
            if TYPES[name].is_one(data):
                TYPES[name].check(data)
                return name
    raise FileTypeRefused(NOT_A_PDF)
