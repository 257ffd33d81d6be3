"""A file is stored whole or not at all, once, and for the portal's own processes only."""

import hashlib
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from django.core.files.base import File
from django.db import DatabaseError, IntegrityError, connection, transaction
from pytest_django.fixtures import Settings

from portal.files.errors import FileTooLarge, FileTypeRefused, NameInvalid, StorageFailed
from portal.files.models import StoredFile
from portal.files.services import file_store
from portal.people.models import User
from tests.portal.files.conftest import Store, files_in
from tests.portal.files.making import pdf, stream, upload

pytestmark = pytest.mark.django_db
MEGABYTE = 1024 * 1024


def noise(size_bytes: int) -> bytes:
    """A PDF of about that size that does not pack."""
    return pdf(stream(os.urandom(size_bytes), b"/Subtype /Image"))


@time_machine.travel(datetime(2027, 3, 1, tzinfo=UTC), tick=False)
def test_it_keeps_the_bytes_under_their_hash_and_the_name_in_the_row(
    store: Store, media: Path, researcher: User
) -> None:
    content = pdf()
    stored = store(content, "Đề xuất.PDF")
    sha256 = hashlib.sha256(content).hexdigest()
    assert files_in(media) == [media / sha256[:2] / sha256]
    assert (media / sha256[:2] / sha256).read_bytes() == content
    assert (stored.sha256, stored.size_bytes, stored.name) == (sha256, len(content), "Đề xuất.pdf")
    assert (stored.content_type, stored.uploaded_by) == ("application/pdf", researcher)
    assert stored.created_at == datetime(2027, 3, 1, tzinfo=UTC)


def test_the_same_content_is_stored_once_and_has_a_row_for_each_upload(store: Store, media: Path) -> None:
    first, second = store(name="a.pdf"), store(name="b.pdf")
    assert first.pk != second.pk
    assert first.sha256 == second.sha256
    assert len(files_in(media)) == 1


def test_storing_again_heals_a_damaged_copy(store: Store, media: Path) -> None:
    store()
    [path] = files_in(media)
    path.write_bytes(b"bit rot")
    store()
    assert path.read_bytes() == pdf()


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"<html></html>", "a.pdf", FileTypeRefused),
        (pdf()[:200], "a.pdf", FileTypeRefused),
        (b"", "a.pdf", FileTypeRefused),
        (pdf(b"<< /S /Launch >>"), "a.pdf", FileTypeRefused),
        (pdf(), "..\\..\\a.pdf", NameInvalid),
        (pdf(), ".pdf", NameInvalid),
    ],
    ids=["web page", "truncated", "empty", "launches", "path", "no name"],
)
def test_what_is_refused_leaves_nothing(
    store: Store, media: Path, content: bytes, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        store(content, name)
    assert files_in(media) == []
    assert not StoredFile.objects.exists()


class Endless(File):
    """An upload that says nothing about its size and would never end."""

    def __init__(self) -> None:
        super().__init__(None, "a.pdf")
        self.read_bytes = 0

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        while True:
            self.read_bytes += 65_536
            yield b"%PDF" * 16_384


def test_a_large_upload_is_read_no_further_than_the_limit(media: Path, researcher: User, settings: Settings) -> None:
    endless = Endless()
    with pytest.raises(FileTooLarge):
        file_store(upload=endless, person=researcher)
    assert endless.read_bytes <= settings.FILES_LIMIT_BYTES + 65_536
    assert files_in(media) == []


def test_a_caller_may_set_a_lower_limit(media: Path, researcher: User) -> None:
    content = noise(MEGABYTE)
    assert file_store(upload=upload(content), person=researcher, limit_bytes=len(content))
    with pytest.raises(FileTooLarge):
        file_store(upload=upload(content), person=researcher, limit_bytes=len(content) - 1)


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """The disk takes no longer file from this process: the same error, at the same call, as a full one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_nothing(store: Store, media: Path) -> None:
    with file_size_limit(MEGABYTE), pytest.raises(StorageFailed):
        store(noise(3 * MEGABYTE))
    assert files_in(media) == []
    assert not StoredFile.objects.exists()
    store(noise(3 * MEGABYTE))


def test_a_really_full_disk_is_told_and_leaves_nothing(store: Store, media: Path) -> None:
    media.mkdir()
    mounted = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", media], capture_output=True)
    if mounted.returncode:
        pytest.skip("this process may not mount")
    try:
        with pytest.raises(StorageFailed):
            store(noise(3 * MEGABYTE))
        assert files_in(media) == []
        store()
    finally:
        subprocess.run(["/bin/umount", media], check=True)


def test_a_place_that_cannot_be_written_is_told(store: Store, media: Path) -> None:
    media.write_text("not a directory")
    with pytest.raises(StorageFailed):
        store()


def test_a_row_that_fails_leaves_a_file_that_nothing_refers_to(store: Store, media: Path) -> None:
    def store_and_fail() -> None:
        with transaction.atomic():
            store()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store_and_fail()
    assert not StoredFile.objects.exists()
    assert len(files_in(media)) == 1


def test_only_this_user_may_read_and_enter(store: Store, media: Path) -> None:
    before = os.umask(0)  # as gunicorn sets it
    try:
        store()
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [media, *media.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


STORE_AS_ANOTHER = """
import sys, pathlib, django.conf
django.conf.settings.configure(MEDIA_ROOT=sys.argv[1])
from portal.files import disk
import hashlib
with disk.incoming() as made:
    made.file.write(sys.argv[2].encode())
    made.place(hashlib.sha256(sys.argv[2].encode()).hexdigest())
for path in pathlib.Path(sys.argv[1]).glob("??/*"):
    path.read_bytes()
    if sys.argv[3] == "drop":
        path.unlink()
"""


def test_two_users_share_through_a_group_and_others_stay_outside(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> None:
    """As the web process and the worker of a stack do; see configure.sh of the role `portal`."""
    if os.getuid() != 0:
        pytest.skip("only root can be two users")
    base = tmp_path_factory.mktemp("shared")
    for folder in (base, base.parent, base.parent.parent):
        folder.chmod(0o711)
    media, group = base / "media", 64_999
    media.mkdir()
    os.chown(media, 0, group)
    media.chmod(0o2770)

    def run(user: int, content: str, then: str, groups: list[int]) -> int:
        return subprocess.run(
            [sys.executable, "-B", "-c", STORE_AS_ANOTHER, str(media), content, then],
            user=user,
            group=user,
            extra_groups=groups,
            umask=0o022,
            cwd=settings.BASE_DIR,
            capture_output=True,
        ).returncode

    assert run(64_001, "from the web", "keep", [group]) == 0
    [path] = media.glob("??/*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    assert run(64_003, "from a stranger", "keep", []) != 0
    assert run(64_002, "from the worker", "drop", [group]) == 0
    assert files_in(media) == []


def test_a_row_is_never_changed(store: Store) -> None:
    stored = store()
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        StoredFile.objects.filter(pk=stored.pk).update(name="another.pdf")


@pytest.mark.parametrize(
    "fields",
    [{"sha256": "../../etc/passwd"}, {"sha256": "A" * 64}, {"name": "a/b.pdf"}, {"name": ""}, {"size_bytes": 0}],
)
def test_the_database_refuses_a_row_that_could_be_a_path(store: Store, fields: dict[str, object]) -> None:
    stored = store()
    row = {field.attname: getattr(stored, field.attname) for field in StoredFile._meta.fields}
    with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
        StoredFile.objects.create(**row | {"id": "7e5c3a0e-0000-4000-8000-000000000000"} | fields)


def test_the_history_says_who_stored_what(store: Store, researcher: User) -> None:
    stored = store(name="Báo cáo.pdf")
    event = stored.events.get()  # type: ignore[attr-defined]
    assert (event.pgh_label, event.name, event.sha256) == ("created", "Báo cáo.pdf", stored.sha256)
    assert event.pgh_context == {"user": researcher.pk, "why": "file_store"}


@pytest.mark.parametrize("role", ["saola_web", "saola_worker"])
def test_a_process_needs_no_right_that_it_lacks(store: Store, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() == (0,):
            pytest.skip("this server is a developer's own: it has no roles")
        cursor.execute(f"SET LOCAL ROLE {role}")
    store().delete()
