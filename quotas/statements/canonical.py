"""Canonical JSON: the one way to write a value down, so that the same content has the same hash for ever.

After RFC 8785: keys sorted, no space, UTF-8. Stricter in what it takes: text, whole numbers, true, false, null, lists,
objects with text keys. No fractions: their written form differs between programs.
"""

import hashlib
import json
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def canonical(value: Any) -> str:
    """Raises TypeError for a value that has no canonical form."""
    _check(value)
    return _encode(value)


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key is a text, not {key!r}")
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
    elif value is not None and not isinstance(value, str | int):
        raise TypeError(f"{value!r} has no place in a statement")
