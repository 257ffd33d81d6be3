"""Storing and dropping files.

The bytes are on the disk before the row that refers to them is committed, so a crash between the two leaves at most a
file without a row, which `files_drop_unused` takes away a day later. Two processes that store the same content replace
each other's file by an equal one. One that stores and one that drops the same content wait for each other: the first
holds a shared lock on the hash until its row is committed, the second an exclusive one while it looks and deletes.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.files import File
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from portal.audit.context import acting
from portal.clock import now
from portal.files import disk
from portal.files.content import PDF, TYPES, content_check
from portal.files.errors import FileTooLarge, StorageFailed
from portal.files.models import StoredFile, Verification
from portal.files.names import name_clean
from portal.files.references import unused
from portal.files.uploads import RefusedUpload
from portal.files.verification import Findings, files_findings
from portal.locks import LockSpace
from portal.people.models import User

logger = logging.getLogger(__name__)

GRACE = timedelta(days=1)  # between an upload and what refers to it: a form left open over night


def file_store(
    *, upload: File, person: User, allowed: Collection[str] = frozenset({PDF}), limit_bytes: int | None = None
) -> StoredFile:
    """Stores an upload whose content is of one of the allowed types, and answers its row.

    Without a limit in bytes it is FILES_LIMIT_BYTES. Whoever calls refers to the row in the same transaction or within
    a day. Raises FileTooLarge, FileTypeRefused, NameInvalid, StorageFailed: nothing is stored then.
    """
    if isinstance(upload, RefusedUpload):
        raise upload.error
    with _disk_troubles(), disk.incoming() as incoming:
        sha256, size_bytes = _copied(upload, incoming.file, limit_bytes or settings.FILES_LIMIT_BYTES)
        content_type = content_check(incoming.file, allowed=allowed)
        name = name_clean(upload.name or "", suffix=TYPES[content_type].suffix)
        with transaction.atomic(), acting(person, "file_store"):
            _lock_shared(sha256)
            incoming.place(sha256)
            return StoredFile.objects.create(
                sha256=sha256,
                size_bytes=size_bytes,
                name=name,
                content_type=content_type,
                uploaded_by=person,
                created_at=now(),
            )


@dataclass(frozen=True)
class Dropped:
    rows: int
    contents: int
    leftovers: int  # of processes that died while they stored


def files_drop_unused(*, actor: str, grace: timedelta = GRACE, leftovers_grace: timedelta | None = None) -> Dropped:
    """Drops rows that nothing refers to, content without a row, and leftovers, each once it is older than `grace`.

    Leftovers after `leftovers_grace` where that is given: a file that is being stored looks like one.
    """
    before = now() - grace
    left_before = before if leftovers_grace is None else now() - leftovers_grace
    with acting(actor, "files_drop_unused"):
        rows = sum(_row_dropped(row) for row in unused(StoredFile.objects.filter(created_at__lt=before)))
    contents = sum(_content_dropped(file, before) for folder in disk.folders() for file in _without_row(folder))
    leftovers = 0
    for file in disk.found(disk.root() / disk.INCOMING):
        if file.changed_at < left_before:
            file.path.unlink(missing_ok=True)
            leftovers += 1
    return Dropped(rows, contents, leftovers)


def verification_run(*, at: datetime) -> Findings:
    """Reads every stored file and keeps the result for /metrics."""
    findings = files_findings(at=at)
    Verification.objects.update_or_create(
        pk=1,
        defaults={
            "verified_at": findings.verified_at,
            "duration_s": findings.duration_s,
            "missing": len(findings.missing),
            "damaged": len(findings.damaged),
            "orphaned": len(findings.orphaned),
            "exposed": len(findings.exposed),
        },
    )
    return findings


# --- parts --------------------------------------------------------------------------------------------------------


@contextmanager
def _disk_troubles() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        logger.exception("files: not stored")
        raise StorageFailed from error


def _copied(upload: File, file: BinaryIO, limit_bytes: int) -> tuple[str, int]:
    """Copies piece by piece, no further than the limit; answers hash and size."""
    digest, size_bytes = hashlib.sha256(), 0
    for piece in upload.chunks():
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            raise FileTooLarge(limit_bytes)
        digest.update(piece)
        file.write(piece)
    return digest.hexdigest(), size_bytes


def _lock_shared(sha256: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [LockSpace.FILE, _lock_key(sha256)])


def _lock_if_free(sha256: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LockSpace.FILE, _lock_key(sha256)])
        return bool(cursor.fetchone()[0])


def _lock_key(sha256: str) -> int:
    return int(sha256[:8], 16) & 0x7FFFFFFF


def _row_dropped(row: StoredFile) -> int:
    try:
        with transaction.atomic():
            # Somebody may have begun to refer to it since: then its lock is taken, or a second look sees it.
            locked = StoredFile.objects.select_for_update(skip_locked=True).filter(pk=row.pk).first()
            return len([found.delete() for found in unused(StoredFile.objects.filter(pk=row.pk))]) if locked else 0
    except (ProtectedError, IntegrityError):  # and just now
        return 0


def _without_row(folder: Path) -> list[disk.Found]:
    files = [file for file in disk.found(folder) if file.sha256]
    known = set(StoredFile.objects.filter(sha256__in=[file.sha256 for file in files]).values_list("sha256", flat=True))
    return [file for file in files if file.sha256 not in known]


def _content_dropped(file: disk.Found, before: datetime) -> int:
    if file.changed_at >= before:
        return 0
    with transaction.atomic():
        if not _lock_if_free(file.sha256) or StoredFile.objects.filter(sha256=file.sha256).exists():
            return 0
        file.path.unlink(missing_ok=True)
    return 1
