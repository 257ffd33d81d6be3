"""Many at once: the same content, and a broom between them."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread

from django.db import connection

from portal.clock import now
from portal.files.models import StoredFile
from portal.files.services import file_store, files_drop_unused, verification_run
from portal.people.models import User
from tests.portal.files.conftest import files_in
from tests.portal.files.making import pdf, upload

CLIENTS = 8
ROUNDS = 6


def at_once(*actions: Callable[[], object]) -> list[BaseException]:
    """Runs the actions together; answers what went wrong."""
    start = Barrier(len(actions))
    troubles: list[BaseException] = []

    def run(action: Callable[[], object]) -> None:
        try:
            start.wait(20)
            action()
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return troubles


def test_eight_uploads_of_one_content_make_eight_rows_and_one_file(media: Path, committed_person: User) -> None:
    content = pdf(text="one")
    stores = [lambda: file_store(upload=upload(content), person=committed_person)] * CLIENTS
    assert at_once(*stores) == []
    assert StoredFile.objects.count() == CLIENTS
    assert len(files_in(media)) == 1
    assert verification_run(at=now()).ok


def test_storing_dropping_and_storing_again_never_leaves_a_row_without_its_file(
    media: Path, committed_person: User
) -> None:
    """Everybody stores the same few contents and drops their rows at once, while brooms sweep without any grace."""
    contents = [pdf(text=f"content {number}") for number in range(3)]

    def come_and_go() -> None:
        for number in range(ROUNDS):
            stored = file_store(upload=upload(contents[number % 3]), person=committed_person)
            if number % 2:
                StoredFile.objects.filter(pk=stored.pk).delete()

    def sweep() -> None:
        for _round in range(ROUNDS * 2):
            files_drop_unused(actor="tests", grace=timedelta(0), leftovers_grace=timedelta(hours=1))
            findings = verification_run(at=now())
            assert not findings.damaged

    assert at_once(*[come_and_go] * CLIENTS, sweep, sweep) == []
    findings = verification_run(at=now())
    assert (findings.missing, findings.damaged) == ([], [])
    files_drop_unused(actor="tests", grace=timedelta(0))
    assert not StoredFile.objects.exists()
    assert files_in(media) == []
