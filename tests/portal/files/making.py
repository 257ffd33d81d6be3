"""Makes PDFs, byte by byte: whole ones, and ones with something in them that must not be there."""

import zlib
from collections.abc import Sequence
from pathlib import Path

from django.core.files.uploadedfile import SimpleUploadedFile

SAMPLES = Path(__file__).parent / "samples"  # as ReportLab, WeasyPrint, Matplotlib and qpdf write them
GOOD = sorted(path for path in SAMPLES.glob("*.pdf") if not path.name.startswith("refused-"))


def stream(data: bytes, entries: bytes = b"/Filter /FlateDecode") -> bytes:
    packed = zlib.compress(data, 9) if b"Flate" in entries else data
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(packed), packed)


def packed_objects(*objects: bytes) -> bytes:
    """An object stream; its objects are numbered from 90."""
    offsets, body = [], b""
    for number, one in enumerate(objects, start=90):
        offsets.append(b"%d %d" % (number, len(body)))
        body += one + b" "
    head = b" ".join(offsets) + b" "
    return stream(head + body, b"/Type /ObjStm /N %d /First %d /Filter /FlateDecode" % (len(objects), len(head)))


def pdf(*objects: bytes, text: str = "Saola", head: bytes = b"", before: bytes = b"", root: bytes = b"") -> bytes:
    """A PDF of one page, with further objects. `head` stands after the header, `before` before it; `root` are entries
    of the catalogue.
    """
    content = stream(f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode("latin-1", "replace"))
    fonts = b"/Resources << /Font << /F1 5 0 R >> >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R %b >>" % fonts
    all_objects: Sequence[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R %b >>" % root,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page,
        content,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *objects,
    ]
    body = before + b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + head
    offsets = []
    for number, one in enumerate(all_objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(all_objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + trailer


def upload(content: bytes | None = None, name: str = "Báo cáo.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, pdf() if content is None else content, "application/pdf")
