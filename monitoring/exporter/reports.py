"""What jobs say of their own FLOPs: small files in the folder that the prolog made for each run, believed no more than
they must be. docs/telemetry.md has the format. A file belongs to the run's user, is regular, small and one of few; what
is not is refused, counted, and told at /reports. Nothing of a refused file is taken.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PRECISIONS = ("fp8", "bf16", "fp16", "tf32", "fp32", "fp64", "int8", "undeclared")
SPARSITIES = ("dense", "2:4", "unknown")
REASONS = (
    *("not_regular", "not_theirs", "unreadable", "too_large", "too_many_files"),
    *("malformed", "unknown_precision", "unknown_sparsity", "not_a_number", "negative", "impossible", "decreasing"),
    "another_job",
)
FILES_MOST = 64  # of one run: one for each process that reports
ENTRIES_MOST = 256  # of a folder, whatever they are
BYTES_MOST = 4096
RUNS_MOST = 4096
DIGITS_MOST = 30
REFUSED_MOST = 200  # told; all are counted
KEPT_S = 24 * 3600
# More than 16 GPUs of any kind can do: 5e16 FLOP/s each, above the sparse FP4 peak of any GPU that there is.
NODE_FLOP_PER_S_MOST = 16 * 5 * 10**16
EARLY_S = 60  # clocks differ, and a report may come in the run's first second
RUN = re.compile(r"([1-9]\d{0,9})-([1-9]\d{0,11})-(\d{1,10})", re.ASCII)
NUMBER = re.compile(r"\d+", re.ASCII)

Totals = dict[tuple[str, str], int]


class Refused(Exception):
    """With one of REASONS."""


@dataclass
class File:
    signature: tuple[int, int, int]  # changed, size, inode: the same file is not judged twice
    totals: Totals = field(default_factory=dict)


@dataclass
class Run:
    """One run of a job on this node."""

    job: int
    began: int
    uid: int
    files: dict[str, File] = field(default_factory=dict)
    at: float = 0.0
    is_over: bool = False
    has_too_many: bool = False

    def totals(self) -> Totals:
        found: Counter[tuple[str, str]] = Counter()
        for file in self.files.values():
            found.update(file.totals)
        return dict(found)


@dataclass
class Reports:
    directory: Path  # `runs`, which root writes
    runs: dict[str, Run] = field(default_factory=dict)
    refused_counts: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)

    def read(self) -> None:
        """Look at every run's folder that can still change, once."""
        there = set()
        for name, status in self._folders():
            there.add(name)
            if name not in self.runs:
                job, began, uid = (int(part) for part in RUN.fullmatch(name).groups())  # type: ignore[union-attr]
                self.runs[name] = Run(job, began, uid)
            run = self.runs[name]
            if not run.is_over:
                run.is_over = status.st_uid == 0 != run.uid  # closed by the epilog: read this once more
                self._read_run(name, run)
        for name in self.runs.keys() - there:
            del self.runs[name]

    def answer(self) -> dict[str, Any]:
        """As GET /reports says it."""
        reports = [
            {
                "job": run.job,
                "uid": run.uid,
                "began": run.began,
                "precision": precision,
                "sparsity": sparsity,
                "flop_total": str(total),
                "at": run.at,
            }
            for run in list(self.runs.values())
            for (precision, sparsity), total in run.totals().items()
        ]
        return {"reports": reports, "refused": list(self.refused.values())}

    def of_jobs(self, owners: set[tuple[int, int]]) -> Iterator[tuple[int, str, str, int]]:
        """(job, precision, sparsity, FLOP) of the latest run of each (job, uid)."""
        latest: dict[tuple[int, int], Run] = {}
        for run in list(self.runs.values()):
            key = (run.job, run.uid)
            if key in owners and (key not in latest or latest[key].began < run.began):
                latest[key] = run
        for run in latest.values():
            for (precision, sparsity), total in run.totals().items():
                yield run.job, precision, sparsity, total

    # ---- folders

    def _folders(self) -> Iterator[tuple[str, os.stat_result]]:
        now = time.time()
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            found = 0
            for entry in entries:
                if not RUN.fullmatch(entry.name) or found >= RUNS_MOST:
                    continue
                status = entry.stat(follow_symlinks=False)
                is_old = status.st_uid == 0 and now - status.st_ctime > KEPT_S
                if stat.S_ISDIR(status.st_mode) and not is_old:
                    found += 1
                    yield entry.name, status

    def _read_run(self, name: str, run: Run) -> None:
        try:
            folder = os.open(self.directory / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return  # its user shut it: nothing is reported
        try:
            names = list(run.files)  # those that were taken go on, also where one was removed since
            with os.scandir(folder) as entries:
                for count, entry in enumerate(entries):
                    if count >= ENTRIES_MOST:
                        self._refuse_too_many(run)
                        break
                    if entry.name.endswith(".flops") and entry.name not in run.files:
                        names.append(entry.name)
            if len(names) > FILES_MOST:
                self._refuse_too_many(run)
            for one in names[:FILES_MOST]:
                self._read_file(folder, one, run)
        finally:
            os.close(folder)

    def _refuse_too_many(self, run: Run) -> None:
        if not run.has_too_many:
            run.has_too_many = True
            self._refuse(run, "too_many_files")

    def _read_file(self, folder: int, name: str, run: Run) -> None:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            signature = (status.st_ctime_ns, status.st_size, status.st_ino)
            known = run.files.setdefault(name, File((0, 0, 0)))
            if signature == known.signature:
                return
            known.signature = signature
            totals = _parsed(_text(folder, name, run.uid), run)
            if any(totals.get(key, 0) < total for key, total in known.totals.items()):
                raise Refused("decreasing")
            known.totals = totals
            run.at = max(run.at, min(status.st_mtime, time.time()))
        except Refused as refusal:
            self._refuse(run, str(refusal))
        except FileNotFoundError:
            pass
        except OSError:
            self._refuse(run, "unreadable")

    def _refuse(self, run: Run, reason: str) -> None:
        self.refused_counts[reason] += 1
        key = (run.job, reason)
        self.refused.pop(key, None)
        self.refused[key] = {"job": run.job, "uid": run.uid, "at": round(time.time(), 3), "reason": reason}
        while len(self.refused) > REFUSED_MOST:
            del self.refused[next(iter(self.refused))]


def _text(folder: int, name: str, uid: int) -> bytes:
    """Raises Refused, OSError."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise
        raise Refused("not_regular") from error  # a link, a socket
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("not_regular")
        if status.st_uid != uid or status.st_nlink != 1:
            raise Refused("not_theirs")
        text = os.read(file, BYTES_MOST + 1)
        if len(text) > BYTES_MOST:
            raise Refused("too_large")
        return text
    finally:
        os.close(file)


def _parsed(text: bytes, run: Run) -> Totals:
    """Lines `PRECISION SPARSITY FLOP [JOB]`. Raises Refused."""
    totals: Totals = {}
    try:
        lines = text.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise Refused("malformed") from None
    for line in lines:
        words = line.split()
        if not words:
            continue
        if len(words) not in (3, 4) or tuple(words[:2]) in totals:
            raise Refused("malformed")
        precision, sparsity, number = words[:3]
        if precision not in PRECISIONS:
            raise Refused("unknown_precision")
        if sparsity not in SPARSITIES:
            raise Refused("unknown_sparsity")
        if words[3:] and words[3] != str(run.job):
            raise Refused("another_job")
        totals[precision, sparsity] = _number(number, run)
    return totals


def _number(text: str, run: Run) -> int:
    if NUMBER.fullmatch(text.removeprefix("-")) and text.startswith("-"):
        raise Refused("negative")
    if not NUMBER.fullmatch(text):
        raise Refused("not_a_number")
    most = NODE_FLOP_PER_S_MOST * (max(time.time() - run.began, 0) + EARLY_S)
    if len(text) > DIGITS_MOST or int(text) > most:
        raise Refused("impossible")
    return int(text)
