"""What nothing refers to goes away after a day; what something refers to never does."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import time_machine
from django.db import connection, models, transaction
from django.db.models import QuerySet

from portal.clock import now
from portal.files import references
from portal.files.models import StoredFile
from portal.files.services import Dropped, file_store, files_drop_unused
from portal.files.tasks import files_drop_unused as task
from portal.people.models import User
from tests.portal.files.conftest import Store, files_in
from tests.portal.files.making import upload

NOW = timedelta(0)


def drop(grace: timedelta = NOW) -> Dropped:
    return files_drop_unused(actor="tests", grace=grace)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Ids of files that an app refers to from inside JSON."""
    ids: list[Any] = []

    def file_ids() -> QuerySet[Any]:
        return StoredFile.objects.filter(pk__in=ids).values("pk")

    monkeypatch.setattr(references, "_registered", [file_ids])
    return ids


@pytest.mark.django_db
def test_it_waits_a_day(store: Store, media: Path) -> None:
    store()
    task()
    assert StoredFile.objects.count() == len(files_in(media)) == 1
    with time_machine.travel(now() + timedelta(days=1, minutes=1), tick=False):
        task()
    assert StoredFile.objects.count() == len(files_in(media)) == 0


@pytest.mark.django_db
def test_it_keeps_what_an_app_refers_to(store: Store, media: Path, kept: list[Any]) -> None:
    used, unused = store(name="used.pdf"), store(name="unused.pdf")  # the same content
    kept.append(used.pk)
    assert drop() == Dropped(rows=1, contents=0, leftovers=0)
    assert StoredFile.objects.get() == used
    assert len(files_in(media)) == 1
    kept.clear()
    assert drop() == Dropped(rows=1, contents=1, leftovers=0)
    assert files_in(media) == []
    assert unused.events.filter(pgh_label="deleted", pgh_context__process="tests").exists()  # type: ignore[attr-defined]


@pytest.fixture
def attachments(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[models.Model]]:
    """A model of another app, with a foreign key that nobody registered."""
    from django.apps import apps
    from django.test.utils import isolate_apps

    with isolate_apps("portal.files", "portal.people"):

        class Attachment(models.Model):
            file = models.ForeignKey(StoredFile, on_delete=models.PROTECT)

            class Meta:
                app_label = "files"

    with connection.schema_editor() as editor:
        editor.create_model(Attachment)
    monkeypatch.setitem(apps.all_models["files"], "attachment", Attachment)
    apps.clear_cache()
    yield Attachment
    del apps.all_models["files"]["attachment"]
    apps.clear_cache()


@pytest.mark.django_db
def test_a_foreign_key_keeps_a_file_without_being_registered(
    store: Store, attachments: type[models.Model], media: Path
) -> None:
    row = attachments._default_manager.create(file=store())
    assert drop() == Dropped(0, 0, 0)
    row.delete()
    assert drop() == Dropped(1, 1, 0)


@pytest.mark.django_db
def test_it_takes_away_what_a_crash_left(store: Store, media: Path) -> None:
    sha256 = "ab" + "0" * 62
    (media / "incoming").mkdir(parents=True)
    (media / "ab").mkdir()
    for path in (media / "incoming" / "half", media / "ab" / sha256):
        path.write_bytes(b"%PDF")
    assert drop(timedelta(hours=1)) == Dropped(0, 0, 0)
    two_hours_ago = time.time() - 7200
    for path in files_in(media):
        os.utime(path, (two_hours_ago, two_hours_ago))
    assert drop(timedelta(hours=1)) == Dropped(rows=0, contents=1, leftovers=1)
    assert files_in(media) == []


@pytest.mark.django_db
def test_it_touches_nothing_that_the_portal_did_not_put_there(store: Store, media: Path) -> None:
    (media / "ab").mkdir(parents=True)
    for path in (media / "readme", media / "ab" / "notes", media / "ab" / ("cd" + "0" * 62)):
        path.write_text("not ours")
        os.utime(path, (0, 0))
    assert drop() == Dropped(0, 0, 0)
    assert len(files_in(media)) == 3


@pytest.mark.django_db
def test_an_empty_place_is_no_trouble(media: Path) -> None:
    assert drop() == Dropped(0, 0, 0)
    assert not media.exists()


def test_content_that_is_just_being_stored_again_stays(media: Path, committed_person: User) -> None:
    """The file lies there from an upload that was dropped; a second has placed it anew, its row not committed."""
    file_store(upload=upload(), person=committed_person).delete()
    [path] = files_in(media)
    placed, looked = Event(), Event()

    def store_slowly() -> None:
        try:
            with transaction.atomic():
                file_store(upload=upload(), person=committed_person)
                placed.set()
                assert looked.wait(20)
        finally:
            connection.close()

    thread = Thread(target=store_slowly)
    thread.start()
    assert placed.wait(20)
    try:
        assert drop() == Dropped(0, 0, 0)
    finally:
        looked.set()
        thread.join(20)
    assert path.exists()
    assert StoredFile.objects.count() == 1


def test_a_reference_that_is_just_being_made_counts(media: Path, committed_person: User, kept: list[Any]) -> None:
    """Between the look for unused rows and the deletion of one, an app locks the row and refers to it."""
    stored = file_store(upload=upload(), person=committed_person)
    locked, looked = Event(), Event()

    def refer() -> None:
        try:
            with transaction.atomic():
                StoredFile.objects.select_for_update().get(pk=stored.pk)
                locked.set()
                assert looked.wait(20)
        finally:
            connection.close()

    thread = Thread(target=refer)
    thread.start()
    assert locked.wait(20)
    assert drop() == Dropped(0, 0, 0)
    kept.append(stored.pk)
    looked.set()
    thread.join(20)
    assert drop() == Dropped(0, 0, 0)
    assert StoredFile.objects.get() == stored
