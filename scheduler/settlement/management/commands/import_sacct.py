"""manage.py import_sacct FILE --cluster NAME: brings a centre's history from a sacct dump."""

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import IO, Any, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.management.base import CommandError

from portal.commands import JsonCommand
from scheduler.clusters.models import Cluster
from scheduler.settlement.sacct_file import GPU_TYPE, MissingColumns
from scheduler.settlement.services import TwoTimeZones, history_import

_BAR_WIDTH = 30
_LINE_LIMIT = 1_048_576  # characters; a longer line is no line of sacct and would fill the memory


class Command(JsonCommand):
    help = "Import the history of a cluster from `sacct -X -D -P` with a header line. Importing twice charges nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--cluster", required=True)
        parser.add_argument(
            "--create-missing", action="store_true", help="make an organisation and a project of an unknown account"
        )
        parser.add_argument("--timezone", default="UTC", help="zone of the dump's times, e.g. Asia/Ho_Chi_Minh (UTC)")
        parser.add_argument("--gpu-type", default="", help="for GPUs without a type in a partition without one")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            known = ", ".join(Cluster.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no cluster {options['cluster']!r}. Known: {known}.")
        gpu_type = options["gpu_type"].lower()
        if gpu_type and not GPU_TYPE.fullmatch(gpu_type):
            raise CommandError(f"{options['gpu_type']!r} is no name of a GPU type.")
        try:
            zone = ZoneInfo(options["timezone"])
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise CommandError(f"There is no time zone {options['timezone']!r}.") from error
        bar = Bar(sys.stderr)
        try:
            with open(options["file"], encoding="utf-8", errors="replace", newline="\n") as file:
                done = history_import(
                    cluster=cluster,
                    header=file.readline(_LINE_LIMIT),
                    lines=_lines(file, bar),
                    zone=zone,
                    create_missing=options["create_missing"],
                    gpu_type=gpu_type,
                    actor="command:import_sacct",
                    progress=bar.show,
                )
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.") from error
        except MissingColumns as error:
            raise CommandError(
                f"{options['file']} has no column {error}; nothing was imported. Its first line must name the columns,"
                " as `sacct -X -D -P` prints them without -n."
            ) from error
        except TwoTimeZones as error:
            hours = f"{abs(error.shift_s) / 3600:g} h {'later' if error.shift_s > 0 else 'earlier'}"
            raise CommandError(
                f"{options['file']}: {error.count:,} of its records were imported before, but {hours} here than there;"
                " nothing was imported, it would be charged twice. One of the two was read in the wrong time zone: give"
                " the zone in which sacct printed this file (--timezone)."
            ) from error
        finally:
            bar.end()
        if done.unknown_accounts and not options["create_missing"]:
            names = ", ".join(f"{account} ({count})" for account, count in done.unknown_accounts.items())
            self.say(f"Left out, unknown accounts (lines): {names}. --create-missing makes organisations of them.")
        self.emit(
            {
                "records": done.records,
                "new": done.new,
                "unchanged": done.unchanged,
                "changed": done.changed,
                "charged_gpu_seconds": dict(sorted(done.charged_gpu_seconds.items())),
                "skipped": dict(sorted(done.skipped.items())),
                "unknown_accounts": done.unknown_accounts,
            }
        )


def _lines(file: TextIO, bar: "Bar") -> Iterator[str]:
    """The file's lines; tells the bar how far it is, by the bytes read."""
    total = os.fstat(file.fileno()).st_size
    for number, line in enumerate(iter(lambda: file.readline(_LINE_LIMIT), "")):
        if number % 1_000 == 0:
            bar.show("reading", min(file.buffer.tell(), total), total)
        yield line


class Bar:
    """A progress bar on a terminal; silence anywhere else."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream if stream.isatty() else None
        self._shown_at = 0.0

    def show(self, doing: str, done: int, total: int) -> None:
        if self._stream is None or time.monotonic() - self._shown_at < 0.1:
            return
        self._shown_at = time.monotonic()
        part = done / total if total else 0.0
        filled = "#" * round(_BAR_WIDTH * part)
        self._stream.write(f"\r{doing:9} [{filled:<{_BAR_WIDTH}}] {part:4.0%} ")
        self._stream.flush()

    def end(self) -> None:
        if self._stream is not None and self._shown_at:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
