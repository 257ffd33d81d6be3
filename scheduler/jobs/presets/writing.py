"""A preset as the text of its file NAME.toml, always the same for the same preset: two versions can be compared line by
line, and what was written is read back as it was."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scheduler.jobs.presets.definition import Field, Preset

_BARE = re.compile(r"[A-Za-z0-9_-]+")


# In this order they stand in the file, and no others. What says nothing is left out, but for these.
_ORDER = (
    *("version", "position", "gpus_per_node", "nodes", "nodes_most", "time_limit_s", "checkpoint_lead_s"),
    *("environments", "launcher", "parallel", "title", "description", "results", "fields"),
)
_FIELD_ORDER = (
    *("name", "kind", "required", "advanced", "default", "least", "most", "choices", "suggestions", "title", "help"),
)
_ALWAYS = frozenset(["version", "position", "environments", "launcher", "title", "description", "name", "kind"])
_NUMBERS = ("least", "most")  # 0 says something


def figures_of(preset: Preset) -> dict[str, Any]:
    """What its file says, with what the fields that several presets have say written out."""
    return figures_tidy(
        {
            **{name: getattr(preset, name) for name in _ORDER if hasattr(preset, name)},
            "title": preset.titles.by_language,
            "description": preset.descriptions.by_language,
            "results": [{"path": one.path, "title": one.title.by_language} for one in preset.results],
            "fields": list(map(_field_figures, preset.fields)),
        }
    )


def figures_tidy(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the order of the file."""
    fields = [_tidy(entry, _FIELD_ORDER) for entry in figures.get("fields", ())]
    return _tidy({**figures, "fields": fields}, _ORDER)


def figures_write(figures: Mapping[str, Any]) -> str:
    """TOML of texts, numbers, flags, lists of them, tables and lists of tables."""
    return "\n".join(_table(figures, "")).strip("\n") + "\n"


def _tidy(entry: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    found = {name: entry[name] for name in order if name in entry}
    said = _ALWAYS.union(_NUMBERS)
    return {name: value for name, value in found.items() if value or (name in said and value is not None)}


def _field_figures(field: Field) -> dict[str, Any]:
    said = {name: getattr(field, name) for name in _FIELD_ORDER}
    return said | {"title": field.title.by_language, "help": field.help.by_language if field.help else None}


def _table(table: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in table.items():
        if not _is_table(value) and not _is_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if _is_table(value):
            # What belongs to an entry of a list stands directly below it.
            yield from ([f"[{name}]"] if path else ["", f"[{name}]"])
            yield from _table(value, name)
        elif _is_tables(value):
            for entry in value:
                yield from ("", f"[[{name}]]")
                yield from _table(entry, name)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # JSON escapes what TOML does, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
