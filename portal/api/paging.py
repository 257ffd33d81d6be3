"""Pages of a list by a cursor: the next page begins below the last row of this one, however many rows came meanwhile.

A page costs what its rows cost, wherever in the list it stands: nothing is counted and nothing is skipped.
"""

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _

from portal.api.errors import Refused
from portal.api.shapes import as_json

ROWS, ROWS_MOST = 50, 200
M = TypeVar("M", bound=Model)
READ: dict[str, Callable[[Any], Any]] = {
    "DateTimeField": datetime.fromisoformat,
    "UUIDField": UUID,
    "BigAutoField": int,
}


def paged(
    request: HttpRequest, rows: QuerySet[M], shown: Callable[[list[M]], list[Any]], *, by: tuple[str, ...]
) -> JsonResponse:
    """`by`: what the rows are ordered by, falling, the last of it unique. `shown` turns a page's rows into shapes."""
    size = _size(request.GET.get("limit", ""))
    rows = rows.order_by(*(f"-{name}" for name in by))
    cursor = request.GET.get("cursor", "")
    if cursor:
        rows = _below(rows, by, cursor)
    found = list(rows[: size + 1])
    page = found[:size]
    address = None
    if len(found) > size:
        query = request.GET.copy()
        query["cursor"] = _cursor([getattr(page[-1], name) for name in by])
        address = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
    return JsonResponse({"results": as_json(shown(page)), "next": address})


def _size(text: str) -> int:
    if not text:
        return ROWS
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= ROWS_MOST):
        words = _("“limit” is a number from 1 to %(most)d.") % {"most": ROWS_MOST}
        raise Refused.one(422, "limit", words, field="limit")
    return int(text)


def _cursor(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(as_json(values)).encode()).decode().rstrip("=")


def _below(rows: QuerySet[M], by: tuple[str, ...], cursor: str) -> QuerySet[M]:
    try:
        texts = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
        fields: list[Any] = [rows.model._meta.get_field(name) for name in by]
        values = [READ[field.get_internal_type()](text) for field, text in zip(fields, texts, strict=True)]
        if any(isinstance(value, datetime) and value.tzinfo is None for value in values):
            raise ValueError(cursor)
        if any(isinstance(value, int) and not 0 <= value < 2**63 for value in values):
            raise ValueError(cursor)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError, binascii.Error):
        raise Refused.one(422, "cursor", _("This cursor is none of ours."), field="cursor") from None
    # The first column bounds the rows, so that an index gives them in order; the rest leaves out what was shown.
    below = Q(**{f"{by[0]}__lte": values[0]})
    shown = Q(**{f"{by[-1]}__gte": values[-1]})
    for name, value in zip(by[:-1], values[:-1], strict=True):
        shown &= Q(**{name: value})
    return rows.filter(below).exclude(shown)
