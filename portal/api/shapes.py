"""Answers are frozen dataclasses: as JSON, whatever a request would rather have, and as the JSON Schema that describes
them, from their own annotations (`Annotated[int, "Of the whole log, in bytes."]` describes a field)."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
}


def schema_of(kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; those of dataclasses go into `known` by name and are referred to."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in known:
            known[kind.__name__] = {}
            known[kind.__name__] = _object(kind, known)
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return schema_of(inner[0], known) | {"description": inner[1]}
    if origin in (typing.Union, types.UnionType):
        others = [schema_of(one, known) for one in inner if one is not type(None)]
        return others[0] if len(others) == len(inner) == 1 else {"anyOf": [*others, {"type": "null"}]}
    if origin in (list, tuple):
        return {"type": "array", "items": schema_of(inner[0], known)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1], known)}
    return dict(_PLAIN[kind])


def _object(kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    properties = {name: schema_of(hints[name], known) for name in names}
    words = " ".join((kind.__doc__ or "").split())
    about = {} if words.startswith(f"{kind.__name__}(") else {"description": words}  # dataclasses write their own
    return {"type": "object", "properties": properties, "required": names} | about


class _Encoder(JSONEncoder):
    """Shapes as objects; times in UTC."""

    def default(self, obj: Any) -> Any:
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}
        if isinstance(obj, datetime):
            return obj.astimezone(UTC).isoformat()
        return super().default(obj)


class ShapesAsJson(JSONRenderer):
    encoder_class = _Encoder


class Negotiation(DefaultContentNegotiation):
    def select_renderer(self, request: Any, renderers: Sequence[Any], format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
