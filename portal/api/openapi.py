"""The description of the whole API (OpenAPI 3.1), made from the endpoints themselves: their addresses, docstrings,
scopes, and the types of what they take and answer. In English; what it says cannot be older than the code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from portal.api.endpoint import Endpoint
from portal.api.errors import Error
from portal.api.shapes import schema_of

ROOT = "api/v1/"
TYPES = {"uuid": {"type": "string", "format": "uuid"}, "int": {"type": "integer"}, "slug": {"type": "string"}}


@dataclass(frozen=True)
class Told:
    """What a method takes and answers, beside its docstring. `rows`: a page of them by a cursor."""

    answer: Any = None
    status: int = 200
    rows: bool = False
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    content_type: str = "application/json"


def addresses(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, type[Endpoint]]]:
    for entry in patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if ROOT.startswith(address) or address.startswith(ROOT):
                yield from addresses(entry.url_patterns, address)
        elif isinstance(entry, URLPattern):
            view = getattr(entry.callback, "view_class", None)
            if view is not None and issubclass(view, Endpoint):
                yield address, view


@cache
def description() -> dict[str, Any]:
    known: dict[str, Any] = {}
    error = schema_of(Error, known)
    paths: dict[str, Any] = {}
    for address, view in addresses(get_resolver().url_patterns):
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": TYPES.get(kind, {"type": "string"})}
            for kind, name in re.findall(r"<(\w+):(\w+)>", address)
        ]
        path = "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", address)
        paths[path] = {method.lower(): _operation(view, method, known) for method in sorted(view.scopes)}
        if parameters:
            paths[path]["parameters"] = parameters
    errors = {"type": "object", "required": ["errors"], "properties": {"errors": {"type": "array", "items": error}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Saola", "version": "1", "description": "docs/api.md tells the same with examples."},
        "paths": paths,
        "components": {
            "schemas": known | {"Errors": errors},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "saola_…"}},
        },
        "security": [{"token": []}],
    }


def _operation(view: type[Endpoint], method: str, known: dict[str, Any]) -> dict[str, Any]:
    told: Told = getattr(view, f"told_{method.lower()}", Told())
    words = " ".join((getattr(view, method.lower()).__doc__ or view.__doc__ or "").split())
    scopes = sorted(view.scopes[method])
    operation: dict[str, Any] = {
        "operationId": f"{view.__name__}_{method.lower()}",
        "summary": words.partition(". ")[0].rstrip("."),
        "description": words + (f" Scope: {' or '.join(scopes)}." if scopes else ""),
        "responses": {
            str(told.status): {"description": "Done", "content": {told.content_type: {"schema": _answer(told, known)}}},
            "4XX": {
                "description": "Refused",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}},
            },
        },
    }
    if view.is_public:
        operation["security"] = []
    query = {"cursor": "Of the next page, as “next” gives it.", "limit": "Rows of a page, at most 200."}
    parameters = [("query", *pair) for pair in (told.query | (query if told.rows else {})).items()]
    parameters += [("header", *pair) for pair in told.headers.items()]
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": place, "description": text, "schema": {"type": "string"}}
            for place, name, text in parameters
        ]
    if told.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": told.body}}}
    return operation


def _answer(told: Told, known: dict[str, Any]) -> dict[str, Any]:
    if told.answer is None:
        return {}
    schema = schema_of(told.answer, known)
    if not told.rows:
        return schema
    next_page = {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}
    results = {"type": "array", "items": schema}
    properties = {"results": results, "next": next_page}
    return {"type": "object", "required": ["results", "next"], "properties": properties}
