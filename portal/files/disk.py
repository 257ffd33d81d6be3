"""Where the bytes lie, and the only module that knows: MEDIA_ROOT/<first two digits>/<sha256>.

A file is written under a temporary name in MEDIA_ROOT/incoming, flushed to the disk, and only then renamed to its hash:
whatever stops the process or the machine, a file with a hash for its name is whole. Nobody chooses a path: hashes and
random numbers are all the names there are.

Who may read follows MEDIA_ROOT's own rights. A directory of one user (0700) holds files of 0600. Where the web process
and the worker are two users, MEDIA_ROOT is setgid for a group of theirs (2770), and files are 0640. Others never read.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from django.conf import settings

INCOMING = "incoming"
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Found:
    """A file below MEDIA_ROOT."""

    path: Path
    size_bytes: int
    changed_at: datetime  # by the machine's clock
    sha256: str  # "" where the name is none


class Incoming:
    """A file that has no name of its own yet. `file` is open for reading and writing."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file

    def place(self, sha256: str) -> None:
        """Makes it durable under its hash; one that lies there already is replaced by the same content, fresh."""
        self.file.flush()
        os.fsync(self.file.fileno())
        folder = _folder(sha256[:2])
        os.replace(self.path, folder / sha256)
        _sync_folder(folder)


@contextmanager
def incoming() -> Iterator[Incoming]:
    """A new file under a temporary name. Gone at the end unless it was placed."""
    path = _folder(INCOMING) / uuid4().hex
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            os.fchmod(file.fileno(), 0o640 if is_shared() else 0o600)
            yield Incoming(path, file)
    finally:
        path.unlink(missing_ok=True)


def root() -> Path:
    """It is there once something was stored; the play makes a stack's, with its rights."""
    return Path(settings.MEDIA_ROOT)


def is_shared() -> bool:
    """Whether a group shares MEDIA_ROOT."""
    return root().is_dir() and bool(root().stat().st_mode & stat.S_ISGID)


def path_of(sha256: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("not a SHA-256 in hexadecimal digits")
    return root() / sha256[:2] / sha256


def sha256_of(path: Path) -> str:
    """Raises FileNotFoundError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def found(folder: Path) -> Iterator[Found]:
    """The files of one folder; none where there is no such folder."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # another process was quicker
                continue
            is_ours = bool(re.fullmatch(r"[0-9a-f]{64}", entry.name)) and entry.name.startswith(folder.name)
            sha256 = entry.name if is_ours and stat.S_ISREG(status.st_mode) else ""
            changed_at = datetime.fromtimestamp(status.st_mtime, tz=UTC)
            yield Found(Path(entry.path), status.st_size, changed_at, sha256)


def folders() -> list[Path]:
    """Those that hold files by their hash."""
    return [place for place in places() if re.fullmatch(r"[0-9a-f]{2}", place.name)]


def places() -> list[Path]:
    """Everything that lies in MEDIA_ROOT itself."""
    return sorted(root().iterdir()) if root().is_dir() else []


def exposed() -> Iterator[Path]:
    """What more people may read, write or enter than should."""
    allowed = 0o770 if is_shared() else 0o700
    inside = [path for folder in places() if folder.is_dir() for path in folder.iterdir()]
    for place in [root(), *places(), *inside]:
        try:
            mode = stat.S_IMODE(place.lstat().st_mode) & 0o777
        except FileNotFoundError:
            continue
        if mode & ~allowed:
            yield place


def free_bytes() -> int:
    """What this process may still write."""
    status = os.statvfs(root())
    return status.f_bavail * status.f_frsize


def _folder(name: str) -> Path:
    root().mkdir(mode=0o700, exist_ok=True)
    folder = root() / name
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return folder
    if is_shared():
        folder.chmod(0o2770)
    _sync_folder(root())
    return folder


def _sync_folder(folder: Path) -> None:
    """A name is durable when its directory is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
