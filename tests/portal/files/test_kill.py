"""A process that stores is killed with -9. What has a row has its bytes, whole; the rest goes away by itself."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from portal.clock import now
from portal.files import disk
from portal.files.models import StoredFile
from portal.files.services import file_store, files_drop_unused, verification_run
from portal.people.models import User
from tests.portal.files.conftest import files_in
from tests.portal.files.making import pdf, stream, upload

KILLS = 100 if "SOAK" in os.environ else 8


def content_of(number: int) -> bytes:
    """The same number always makes the same PDF, of some hundred kilobytes."""
    return pdf(stream(random.Random(number).randbytes(300_000), b"/Subtype /Image"), text=str(number))


def started(target: Callable[..., None], *args: Any) -> tuple[Any, Connection]:
    """A process of its own; its parent has no open connection that it could inherit."""
    connections.close_all()
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*args, sending))
    process.start()
    sending.close()
    return process, receiving  # type: ignore[return-value]


def store_on_and_on(person: User, stored: Connection) -> None:
    connection.connect()
    for number in range(100_000):
        file_store(upload=upload(content_of(number), f"{number}.pdf"), person=person)
        stored.send(number)


def received(receiving: Connection) -> list[int]:
    numbers = []
    try:
        while receiving.poll():
            numbers.append(receiving.recv())
    except EOFError:
        pass
    return numbers


def assert_nothing_is_broken(media: Path) -> None:
    findings = verification_run(at=now())
    assert (findings.missing, findings.damaged, findings.exposed, findings.strange) == ([], [], [], [])
    for folder in disk.folders():
        for path in folder.iterdir():  # whatever has a hash for its name has that hash, row or not
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert len(findings.orphaned) <= 1
    left = files_in(media / disk.INCOMING)
    assert len(left) <= 1
    dropped = files_drop_unused(actor="tests", grace=timedelta(0))
    assert (dropped.contents, dropped.leftovers) == (findings.contents + len(findings.orphaned), len(left))
    assert files_in(media) == []


@pytest.mark.parametrize("attempt", range(KILLS))
def test_kill_9_at_any_moment(attempt: int, media: Path, committed_person: User) -> None:
    process, receiving = started(store_on_and_on, committed_person)
    assert receiving.poll(timeout=60)
    time.sleep(random.uniform(0, 0.1))
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    acknowledged = received(receiving)
    names = set(StoredFile.objects.values_list("name", flat=True))
    assert {f"{number}.pdf" for number in acknowledged} <= names
    assert_nothing_is_broken(media)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in(step: str, patch: pytest.MonkeyPatch) -> None:
    """Kills this process just before or just after one step of a store."""
    from portal.files import services

    def before(place: Any, name: str) -> None:
        patch.setattr(place, name, lambda *args, **options: die())

    def after(place: Any, name: str) -> None:
        real = getattr(place, name)
        patch.setattr(place, name, lambda *args, **options: (real(*args, **options), die()))

    if step == "half written":
        real = services._copied
        patch.setattr(services, "_copied", lambda given, file, limit: (real(given, file, limit), file.flush(), die()))
    elif step == "checked":
        after(services, "content_check")
    elif step == "before it is on the disk":
        before(os, "fsync")
    elif step == "before the new name":
        before(os, "replace")
    elif step == "after the new name":
        after(os, "replace")
    elif step == "before the row":
        before(StoredFile.objects, "create")
    elif step == "before the commit":
        after(StoredFile.objects, "create")


STEPS = {
    "half written": (0, 1),
    "checked": (0, 1),
    "before it is on the disk": (0, 1),
    "before the new name": (0, 1),
    "after the new name": (1, 0),
    "before the row": (1, 0),
    "before the commit": (1, 0),
}


@pytest.mark.parametrize("step", STEPS)
def test_kill_9_in_each_step(step: str, media: Path, committed_person: User) -> None:
    file_store(upload=upload(content_of(1), "1.pdf"), person=committed_person)

    def store_and_die(sending: Connection) -> None:
        connection.connect()
        (media / disk.INCOMING).mkdir(exist_ok=True)
        disk._folder(hashlib.sha256(content_of(2)).hexdigest()[:2])  # so that no fsync of a folder comes before
        with pytest.MonkeyPatch.context() as patch:
            die_in(step, patch)
            file_store(upload=upload(content_of(2), "2.pdf"), person=committed_person)

    process, _receiving = started(store_and_die)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert list(StoredFile.objects.values_list("name", flat=True)) == ["1.pdf"]
    orphans, leftovers = STEPS[step]
    assert len(verification_run(at=now()).orphaned) == orphans
    assert len(files_in(media / disk.INCOMING)) == leftovers
    assert_nothing_is_broken(media)
