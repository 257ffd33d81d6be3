"""The one shape of a management command's output.

With `--json` a command prints one JSON object as the last line of standard output and everything else on standard
error, so that a script can read it with `tail -n 1`. Without it, it prints a table for people.
"""

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser


class JsonCommand(BaseCommand):
    """A command that calls `self.emit(result)` once. `self.say(line)` is for progress, always on standard error."""

    requires_system_checks = ()  # `make check` and the installation run them; here they would load every page first

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", help="one JSON object as the last line of standard output")
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        self._emitted: dict[str, Any] | None = None
        self._as_json = bool(options.get("json"))
        out = options.get("stdout") or sys.stdout
        if not self._as_json:
            return super().execute(*args, **options)
        # Whatever the command, or a library under it, prints on the way must not come after or between the JSON.
        options["stdout"] = options.get("stderr") or sys.stderr
        with contextlib.redirect_stdout(sys.stderr):
            super().execute(*args, **options)
        if self._emitted is not None:
            out.write(json.dumps(self._emitted, default=_plain) + "\n")
            out.flush()
        return None

    def emit(self, result: dict[str, Any]) -> None:
        """Hand over the command's result: printed last as JSON, or at once as a table."""
        self._emitted = result
        if not self._as_json:
            self.stdout.write("\n".join(table_lines(result)))

    def say(self, line: str) -> None:
        """A line of progress or advice."""
        self.stderr.write(line)


def table_lines(result: Mapping[str, Any]) -> list[str]:
    """Render a result for people: plain values first, then one block for each list or nested mapping."""
    plain = {key: value for key, value in result.items() if not _is_nested(value)}
    lines = _columns([[key, _cell(value)] for key, value in plain.items()])
    for key, value in result.items():
        if not _is_nested(value):
            continue
        lines += ["", f"{key}:"]
        rows = _rows(value)
        lines += [f"  {line}" for line in _columns(rows)] if rows else ["  (none)"]
    return lines


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str))


def _rows(value: Any) -> list[list[str]]:
    if isinstance(value, Mapping):
        if value and all(isinstance(inner, Mapping) for inner in value.values()):
            header = list(dict.fromkeys(column for inner in value.values() for column in inner))
            return [["", *header]] + [
                [str(key), *(_cell(inner.get(column, "")) for column in header)] for key, inner in value.items()
            ]
        return [[str(key), _cell(inner)] for key, inner in value.items()]
    if value and all(isinstance(item, Mapping) for item in value):
        header = list(dict.fromkeys(column for item in value for column in item))
        return [header] + [[_cell(item.get(column, "")) for column in header] for item in value]
    return [[_cell(item)] for item in value]


def _columns(rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return json.dumps(value, default=_plain) if _is_nested(value) else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, date | UUID):  # a datetime is a date
        return value.isoformat() if isinstance(value, date) else str(value)
    raise TypeError(f"{type(value).__name__} has no place in a command's JSON")
