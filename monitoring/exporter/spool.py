"""The hooks' events, from the spool that root writes (monitoring/exporter/hook): who has owned which GPU, since when.

Two files, `events` and the older `events.1`, of bounded size. The first line of each is {"spool": "<random id>"}, every
other one an event with a number n that grows by one. Nothing is kept in memory but who owns what now: a request finds
its place by bisection.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

EVENTS_MOST = 1000  # of one answer
LINE_MOST = 16_384
BOOT = Path("/proc/stat")


@dataclass(frozen=True)
class Owner:
    job: int
    uid: int
    at: float


@dataclass
class Spool:
    directory: Path
    booted_at: float = 0.0  # what was owned before ended with the node
    owners: dict[str, Owner] = field(default_factory=dict)  # by UUID
    shown: dict[str, Owner] = field(default_factory=dict)  # the same when the GPUs were last read
    _name: str = ""
    _inode: int = 0
    _offset: int = 0

    def after(self, number: int, limit: int) -> dict[str, Any]:
        """The events behind n = number, oldest first, as GET /events answers."""
        events: list[dict[str, Any]] = []
        oldest = newest = 0
        name = ""
        for file in self._files("events.1", "events"):
            name = _head(file) or name
            first, last = _first(file), _last(file)
            oldest, newest = oldest or first, last or newest
            if last > number:
                _seek_behind(file, number)
                room = max(min(limit, EVENTS_MOST), 0) - len(events)
                for event in _events(file):
                    if len(events) >= room or room <= 0:
                        break
                    events.append(event)
        return {"spool": name, "oldest": oldest, "newest": newest, "events": events}

    def follow(self) -> set[str]:
        """Take over what was written since the last time. Answers the devices, by UUID, that changed their owner."""
        before = dict(self.owners)
        for file in self._files("events"):
            inode, name = os.fstat(file.fileno()).st_ino, _head(file)
            if name != self._name:
                self.owners.clear()
                self._name, self._inode = name, 0
            if inode != self._inode:
                for older in self._files("events.1"):
                    is_known = os.fstat(older.fileno()).st_ino == self._inode
                    self._take_from(older, self._offset if is_known else 0)
                self._inode, self._offset = inode, 0
            self._offset = self._take_from(file, self._offset)
        return {uuid for uuid in before.keys() | self.owners.keys() if before.get(uuid) != self.owners.get(uuid)}

    def show(self) -> None:
        """What was read since `follow` is the new owners': from here on they may be seen beside it."""
        self.shown = dict(self.owners)

    def _take_from(self, file: BinaryIO, offset: int) -> int:
        file.seek(offset)
        for event in _events(file):
            self._take(event)
            offset = file.tell()
        return offset

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "end":
            for uuid in [uuid for uuid, one in self.owners.items() if one.job == event["job"]]:
                del self.owners[uuid]
        elif event["at"] >= self.booted_at:
            for uuid in event["gpus"]:  # also where the one before never said that it ended
                self.owners[uuid] = Owner(event["job"], event["uid"], event["at"])

    def _files(self, *names: str) -> Iterator[BinaryIO]:
        for name in names:
            with contextlib.suppress(OSError):
                descriptor = os.open(self.directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                with os.fdopen(descriptor, "rb") as file:
                    if stat.S_ISREG(os.fstat(descriptor).st_mode):
                        yield file


def booted_at() -> float:
    for line in BOOT.read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _parsed(line: bytes) -> dict[str, Any] | None:
    """An event; None for a head, half a line and whatever else is none."""
    try:
        event = json.loads(line) if line.endswith(b"\n") else {}
        return dict(event) if {"n", "event", "job", "uid", "at", "gpus"} <= event.keys() else None
    except (ValueError, AttributeError):
        return None


def _events(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """From where the file stands, each with the file standing behind it."""
    while line := file.readline(LINE_MOST):
        event = _parsed(line)
        if event:
            yield event


def _head(file: BinaryIO) -> str:
    file.seek(0)
    try:
        return str(json.loads(file.readline(LINE_MOST))["spool"])
    except (ValueError, KeyError, TypeError):
        return ""


def _number_from(file: BinaryIO, offset: int) -> int:
    """n of the first whole event that begins behind the offset; 0 where there is none."""
    file.seek(offset)
    if offset:
        file.readline(LINE_MOST)  # the rest of one
    return int(next(_events(file), {"n": 0})["n"])


def _first(file: BinaryIO) -> int:
    return _number_from(file, 0)


def _last(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - 2 * LINE_MOST, 0))
    last = 0
    for event in _events(file):
        last = int(event["n"])
    return last


def _seek_behind(file: BinaryIO, number: int) -> None:
    """Stand where the first event with a greater n begins, or a few lines before it is read away."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > LINE_MOST:
        middle = (low + high) // 2
        found = _number_from(file, middle)
        if found and found <= number:
            low = middle
        else:
            high = middle
    file.seek(low)
    if low:
        file.readline(LINE_MOST)
    at = file.tell()
    while line := file.readline(LINE_MOST):
        event = _parsed(line)
        if event and event["n"] > number:
            break
        at = file.tell()
    file.seek(at)
