"""A management command whose progress bar takes notes: `-m benchmarks.import_noted NOTES.json COMMAND …`."""

import json
import os
import sys
import time
from pathlib import Path
from unittest import mock

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.core.management import execute_from_command_line  # noqa: E402

from benchmarks.pages import processor_s  # noqa: E402


def main() -> None:
    notes: list[tuple[str, int, int, float, float]] = []

    def show(_bar: object, doing: str, done: int, total: int) -> None:
        notes.append((doing, done, total, time.monotonic(), processor_s()))

    with mock.patch("scheduler.settlement.management.commands.import_sacct.Bar.show", show):
        execute_from_command_line(["manage.py", *sys.argv[2:]])
    Path(sys.argv[1]).write_text(json.dumps(notes))


if __name__ == "__main__":
    main()
