from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection, connections, transaction
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from portal.files.models import StoredFile
from portal.files.services import file_store
from portal.people.models import User
from tests import factories
from tests.portal.files.making import upload

Store = Callable[..., StoredFile]


@pytest.fixture
def media(settings: Settings, tmp_path: Path) -> Path:
    """An own place for the bytes, which nothing has made yet."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return tmp_path / "media"


@pytest.fixture
def store(media: Path, researcher: User) -> Store:
    """Stores a PDF as the researcher: `store(content, name="…")`."""

    def make(content: bytes | None = None, name: str = "Báo cáo.pdf") -> StoredFile:
        return file_store(upload=upload(content, name), person=researcher)

    return make


@pytest.fixture
def committed_person(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[User]:
    """A person in a test that commits, for threads and processes. Cleans up these tables alone, which
    `transaction=True` would do by truncating every table of the project (two seconds a test).
    """
    tables = ("files_storedfile", "files_storedfileevent", "files_verification", "people_user", "people_userevent")
    with django_db_blocker.unblock():
        yield factories.person("minh@sao-mai.example", "Lê Quang Minh")
        with transaction.atomic(), connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        connections.close_all()


def files_in(place: Path) -> list[Path]:
    """Every file below, whole or not."""
    return sorted(path for path in place.rglob("*") if path.is_file())
