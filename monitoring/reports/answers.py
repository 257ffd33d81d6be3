"""A report as a file: CSV of rows; XLSX and PDF by the statements' renderers."""

from collections.abc import Callable, Iterable, Sequence

from django.http import HttpResponse
from django.utils.translation import gettext as _

from portal.spreadsheet import csv_text
from quotas.statements.errors import TypesettingFailed
from quotas.statements.renderers.document import Document
from quotas.statements.views import TYPES

FORMATS = ("csv", "xlsx", "pdf")
BAD_DAYS = 422  # the page again, with the errors beside the fields, and no figures


def file_answer(
    name: str, format: str, rows: Iterable[Sequence[object]], document: Callable[[], Document]
) -> HttpResponse:
    """`rows`: of the CSV; `document`: asked for where it is none. `name`: without its ending."""
    try:
        content = csv_text(rows) if format == "csv" else _rendered(format, document())
    except TypesettingFailed:
        return HttpResponse(
            _("The PDF could not be made now. Try again, or take the XLSX."), status=503, content_type="text/plain"
        )
    response = HttpResponse(content, content_type=TYPES[format])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{format}"'
    return response


def _rendered(format: str, document: Document) -> bytes:
    # Here, because the libraries take 0.2 s to load and every process of the portal loads this module.
    from quotas.statements.renderers.pdf import pdf_of  # noqa: PLC0415
    from quotas.statements.renderers.xlsx import xlsx_of  # noqa: PLC0415

    return pdf_of(document) if format == "pdf" else xlsx_of(document)
