"""The nation's public figures: for everybody, without login."""

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from monitoring.reports.answers import file_answer
from monitoring.reports.documents import part_titles, part_word, public_document, quarter_text
from monitoring.reports.models import Publication
from monitoring.reports.nation.chart import quarters_chart
from monitoring.reports.nation.figures import PARTS, part_rows
from monitoring.reports.nation.quarters import Quarter
from monitoring.reports.throughput import Range, source_words
from monitoring.rollups.selectors import Bounds
from portal.people.rules import reads_everything
from quotas.statements.renderers.document import flat_rows

QUARTERS_A_PAGE = 12
PUBLIC_FORMATS = ("csv", "xlsx")  # typesetting a PDF for whoever asks is work for whoever asks


@require_safe
def public(request: HttpRequest) -> HttpResponse:
    """A quarter's figures, the last one's unless the address names another, and all quarters' totals."""
    published = list(Publication.objects.all())
    found = _asked(request, published)
    context: dict[str, Any] = {
        "layout": "base.html" if request.user.is_authenticated else "plain.html",
        "publication": found,
        "rows": [(one, quarter_text(Quarter.read(one.quarter)), _total(one)) for one in published],
        "chart": quarters_chart(published),
        "reads_everything": reads_everything(request.user),
    }
    context["page"] = Paginator(context["rows"], QUARTERS_A_PAGE).get_page(request.GET.get("page"))
    if found is not None:
        context["quarter"] = quarter_text(Quarter.read(found.quarter))
        if found.content["total"]:
            context |= _figures(found)
    return render(request, "nation/public.html", context)


@require_safe
def public_file(request: HttpRequest, quarter: str, format: str) -> HttpResponse:
    found = next((one for one in Publication.objects.filter(quarter=quarter)), None)
    if found is None or format not in PUBLIC_FORMATS or not found.content["total"]:
        raise Http404
    document = public_document(Quarter.read(quarter), found.content)
    return file_answer(f"saola-nation-{quarter}", format, flat_rows(document), lambda: document)


def _asked(request: HttpRequest, published: list[Publication]) -> Publication | None:
    """Raises Http404 for a quarter that is not published."""
    quarter = request.GET.get("quarter")
    if quarter is None:
        return next((one for one in published if one.content["total"]), published[0] if published else None)
    found = next((one for one in published if one.quarter == quarter), None)
    if found is None:
        raise Http404
    return found


def _figures(found: Publication) -> dict[str, Any]:
    content = found.content
    parts = []
    for name in PARTS:
        rows = [(part_word(name, key), one, range_of(one)) for key, one in part_rows(content, name)]
        parts.append((name, part_titles()[name], rows))
    total = content["total"]
    return {
        "total": total,
        "fp8": range_of(total),
        "coverage_percent": None if total["coverage"] is None else 100 * total["coverage"],
        "parts": parts,
        "sources": [word for name, word in source_words().items() if name in total["sources"]],
        "without": ", ".join(total["without"]).upper(),
        "files": [
            (format.upper(), reverse("nation:public_file", args=[found.quarter, format])) for format in PUBLIC_FORMATS
        ],
    }


def _total(one: Publication) -> Range | None:
    return range_of(one.content["total"]) if one.content["total"] else None


def range_of(figures: Any) -> Range:
    return Range.of(Bounds(**figures["fp8_eflop_hours"]))
