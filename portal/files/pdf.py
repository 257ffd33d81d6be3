"""Is it a PDF, whole, readable by everybody, and nothing but a document?

Our own check and no library: it asks six questions of the bytes, in time that grows with their number, and unpacks at
most EXPANDED_LIMIT_BYTES. A library that reads whole documents (pypdf) is a hundred times the code, and such readers
have loops and memory traps that a crafted file finds; here they would be found inside the web process.

Refused, and why:
- what does not begin with a PDF header (white space may stand before it) or does not end with its end mark: another
  type behind a .pdf name, a file of two types (HTML before it, a ZIP behind it or around it), a truncated upload;
- encrypted files, also those that open without a password: what is in them can be neither checked here nor read in
  twenty years;
- scripts, forms that send themselves, programs to launch, films, and files within the file. A reviewer opens what a
  stranger wrote; no proposal or report needs any of these, and a mark beside the file would be overlooked.

A script hides in a PDF in plain sight, with its name's letters written as #4A, or in an object stream (packed objects).
So names are looked for in every byte, letters or #xx, and then in every deflated stream that reads like packed objects,
wherever the file says it is: what its cross-reference table says is not believed.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from mmap import mmap

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.files.errors import FileTypeRefused

HEADER_WITHIN_BYTES = 1024  # ISO 32000-1, annex H.3.4.1
EXPANDED_LIMIT_BYTES = 128 * 1024 * 1024
STREAMS_LIMIT = 200_000
LINKS_LIMIT = 10_000
_PIECE_BYTES = 64 * 1024
_LONGEST_LINK_BYTES = 2048  # more than the longest name below, each of its letters as #xx
_ZIP_TAIL_BYTES = 65_535 + 22  # a ZIP's directory end and its longest comment

NOT_A_PDF = _("This is not a PDF, whatever its name says. Only PDF files are accepted.")
DAMAGED = _("The PDF is damaged or was not uploaded whole. Save it again as PDF and upload that.")
TWO_TYPES = _("The file is a PDF and something else at the same time. Save it again as PDF and upload that.")
ENCRYPTED = _("The PDF is protected by a password or by restrictions. Save it without protection.")
ACTIVE = _("The PDF has a script, a form or a film in it. Print it to a new PDF and upload that.")
ATTACHED = _("The PDF has other files attached inside. Save it without attachments.")
BOMB = _("The PDF unpacks to far more than its size. Print it to a new PDF and upload that.")

_REFUSED_NAMES: dict[Promise, tuple[str, ...]] = {
    ENCRYPTED: ("Encrypt",),
    ACTIVE: ("JavaScript", "Launch", "SubmitForm", "ImportData", "Rendition", "RichMedia", "GoToE", "XFA"),
    ATTACHED: ("EmbeddedFile", "EmbeddedFiles", "FileAttachment"),
}


def _spelled(name: str) -> str:
    """A pattern for a PDF name, each of its letters as it is or as #xx."""
    return "".join(f"(?:{letter}|#{ord(letter):02x}|#{ord(letter):02X})" for letter in name)


def _pattern(names: Iterable[str]) -> re.Pattern[bytes]:
    return re.compile(f"/({'|'.join(map(_spelled, names))})(?=[\\0\\t\\n\\f\\r ()<>\\[\\]{{}}/%]|$)".encode())


_REFUSED = _pattern(name for names in _REFUSED_NAMES.values() for name in names)
_ROOT = _pattern(["Root"])
_BLANK = b"\0\t\n\f\r "
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?[%b]*%%PDF-(?:1\.[0-7]|2\.0)(?![0-9.])" % _BLANK)
_END = re.compile(rb"startxref[%b]+([0-9]{1,10})[%b]+%%%%EOF[%b]*\Z" % (_BLANK, _BLANK, _BLANK))
_CROSS_REFERENCE = re.compile(rb"[%b]*(?:xref|[0-9]+[%b]+[0-9]+[%b]+obj)" % (_BLANK, _BLANK, _BLANK))
_IN_A_LINK = re.compile(rb"\([a-z]{2,8}:[^\0-\x20()<>\[\]{}]*\Z")
_STREAM = re.compile(rb"(?<!end)stream[%b]{1,16}" % _BLANK)
_PACKED_TWICE = re.compile(rb"/Fl(?:ateDecode)?[%b]*/Fl(?:ateDecode)?" % _BLANK)
_LIKE_OBJECTS = re.compile(rb"[0-9%+-]")  # an object stream begins with the numbers of its objects, or a comment
_WEB_PAGE = re.compile(rb"<(?:!doctype|html|head|body|script|svg|iframe)\b", re.IGNORECASE)
_ARCHIVES = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")


def is_pdf(data: mmap) -> bool:
    """Whether it begins as one. Anything but white space before the header is another type's."""
    return _HEADER.match(data[:HEADER_WITHIN_BYTES]) is not None


def pdf_check(data: mmap) -> None:
    """Raises FileTypeRefused with what is wrong and what to do."""
    if not is_pdf(data):
        raise FileTypeRefused(NOT_A_PDF)
    _check_ends(data)
    _check_one_type(data)
    _check_names(data)
    if _PACKED_TWICE.search(data):
        raise FileTypeRefused(BOMB)
    expanded_bytes = 0
    for start in _streams(data):
        for piece in _packed_objects(data, start):
            expanded_bytes += len(piece)
            if expanded_bytes > EXPANDED_LIMIT_BYTES:
                raise FileTypeRefused(BOMB)
            _check_names(piece)


def _check_ends(data: mmap) -> None:
    end = _END.search(data[-2048:])
    if end is None or not _ROOT.search(data):
        raise FileTypeRefused(DAMAGED)
    header_at = data.find(b"%PDF-")
    # Offsets count from the header, or, as many writers do, from the first byte.
    offsets = {int(end[1]), int(end[1]) + header_at}
    if not any(_CROSS_REFERENCE.match(data[offset : offset + 64]) for offset in offsets):
        raise FileTypeRefused(DAMAGED)


def _check_one_type(data: mmap) -> None:
    if _WEB_PAGE.search(data[:HEADER_WITHIN_BYTES]) or any(data.find(mark) >= 0 for mark in _ARCHIVES):
        raise FileTypeRefused(TWO_TYPES)
    if data[257:262] == b"ustar":
        raise FileTypeRefused(TWO_TYPES)
    # A ZIP is read from its end: its directory's end mark, whose bytes 12 to 15 say how long the directory before it
    # is. (All ones: see the 64-bit mark instead.)
    end_at = data.rfind(b"PK\5\6", max(0, len(data) - _ZIP_TAIL_BYTES))
    while end_at >= 0:
        length = int.from_bytes(data[end_at + 12 : end_at + 16], "little")
        begin = end_at - length
        if length == 0xFFFFFFFF or (begin >= 0 and data[begin : begin + 4] == b"PK\1\2"):
            raise FileTypeRefused(TWO_TYPES)
        end_at = data.rfind(b"PK\5\6", max(0, len(data) - _ZIP_TAIL_BYTES), end_at)


def _check_names(data: mmap | bytes) -> None:
    for number, found in enumerate(_REFUSED.finditer(data)):
        before = data[max(0, found.start() - _LONGEST_LINK_BYTES) : found.start()]
        if number < LINKS_LIMIT and _IN_A_LINK.search(before):
            continue  # https://example.org/JavaScript is no script
        name = re.sub(rb"#([0-9a-fA-F]{2})", lambda code: bytes([int(code[1], 16)]), found[1]).decode()
        raise FileTypeRefused(next(message for message, names in _REFUSED_NAMES.items() if name in names))


def _streams(data: mmap) -> Iterator[int]:
    """Where deflated data may begin: after every `stream`, whether or not it is one's keyword."""
    for number, found in enumerate(_STREAM.finditer(data)):
        if number > STREAMS_LIMIT:
            raise FileTypeRefused(BOMB)
        start = found.end()
        head = data[start : start + 2]
        if len(head) == 2 and head[0] & 15 == zlib.DEFLATED and int.from_bytes(head, "big") % 31 == 0:
            yield start


def _packed_objects(data: mmap, start: int) -> Iterator[bytes]:
    """The unpacked text of a stream, in overlapping pieces, if it reads like an object stream; else only as much as
    shows that it does not. A picture that is blank for long looks as if it might still become one.
    """
    tail = b""
    began = False
    for piece in _inflated(data, start):
        if not began:
            shown = piece.translate(None, delete=_BLANK)
            if not shown:
                yield piece
                continue
            if not _LIKE_OBJECTS.match(shown):
                return
            began = True
        yield tail + piece
        tail = piece[-_LONGEST_LINK_BYTES:]


def _inflated(data: mmap, start: int) -> Iterator[bytes]:
    """What a deflated stream unpacks to, as far as it can be: small pieces first, most streams show at once what they
    are.
    """
    unpack = zlib.decompressobj()
    size = 512
    while not unpack.eof:
        packed = unpack.unconsumed_tail
        if not packed:
            packed = data[start : start + size]
            start += len(packed)
        try:
            piece = unpack.decompress(packed, size)
        except zlib.error:
            return
        if not piece and not packed:
            return
        if piece:
            yield piece
        size = _PIECE_BYTES
