"""Pages of a list by a cursor: the next page begins behind the last row of this one, however many rows came meanwhile.

A page costs what its rows cost, wherever in the list it stands: nothing is counted and nothing is skipped.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response

from portal.api.endpoint import ApiRequest
from portal.api.errors import Refused

ROWS, ROWS_MOST = 50, 200
M = TypeVar("M", bound=Model)


def paged(
    request: ApiRequest, rows: QuerySet[M], shown: Callable[[list[M]], list[Any]], *, by: tuple[str, ...]
) -> Response:
    """`by`: what the rows are ordered by, all rising or all falling ("-id"), the last of it unique. `shown` turns a
    page's rows into shapes."""
    pages = Pages(rows.model, by)
    page = pages.paginate_queryset(rows, request)
    return Response({"results": shown(page), "next": pages.get_next_link()})


class Pages(CursorPagination):
    """The place in the cursor is that of one row. The library's own is the first column's, with a number of rows to
    skip: it repeats rows where many of one moment are on a page and another one comes."""

    page_size_query_param = "limit"

    def __init__(self, model: type[Model], by: tuple[str, ...]) -> None:
        self.ordering = by
        self.names = [name.lstrip("-") for name in by]
        self.fields: list[Field[Any, Any]] = [model._meta.get_field(name) for name in self.names]  # type: ignore[misc]

    def paginate_queryset(self, queryset: QuerySet[M], request: ApiRequest, view: Any = None) -> list[M]:
        try:
            found = super().decode_cursor(request) if request.query_params.get("cursor") else None
            if found is not None:
                queryset = self._behind(queryset, found.position or "")
        except (NotFound, ValidationError, ValueError):
            raise Refused.one(422, "cursor", _("This cursor is none of ours."), field="cursor") from None
        return super().paginate_queryset(queryset, request, view)

    def decode_cursor(self, request: ApiRequest) -> None:
        """Used above: what it names is left out by then."""

    def get_page_size(self, request: ApiRequest) -> int:
        text = request.query_params.get("limit") or str(ROWS)
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= ROWS_MOST):
            words = _("“limit” is a number from 1 to %(most)d.") % {"most": ROWS_MOST}
            raise Refused.one(422, "limit", words, field="limit")
        return int(text)

    def _get_position_from_instance(self, instance: M, ordering: tuple[str, ...]) -> str:
        return " ".join(field.value_to_string(instance) for field in self.fields)

    def _behind(self, rows: QuerySet[M], place: str) -> QuerySet[M]:
        values = [field.to_python(text) for field, text in zip(self.fields, place.split(" "), strict=True)]
        if any(isinstance(value, datetime) and value.tzinfo is None for value in values):
            raise ValueError(place)
        on, back = ("lte", "gte") if self.ordering[0].startswith("-") else ("gte", "lte")
        # The first column bounds the rows, so that an index gives them in order; the rest leaves out what was shown.
        shown = Q(**{f"{self.names[-1]}__{back}": values[-1]})
        for name, value in zip(self.names[:-1], values[:-1], strict=True):
            shown &= Q(**{name: value})
        return rows.filter(**{f"{self.names[0]}__{on}": values[0]}).exclude(shown)
