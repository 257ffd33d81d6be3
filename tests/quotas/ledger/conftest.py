from collections.abc import Callable, Iterator

import pytest
from django.db import connection, connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from tests.quotas.ledger.making import Books, books_make


@pytest.fixture
def books(db: None) -> Books:
    """A source, a pool with 1,000, and two allocations with 100 each, one of them of another unit."""
    return books_make()


@pytest.fixture
def as_role(db: None) -> Callable[[str], None]:
    """Go on as another database role until the end of the test: `as_role("saola_app")`.

    The role belongs to the server. Where there is none (a developer's own server) the test makes it, with the rights
    that it would have got from the migration.
    """

    def become(role: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT has_function_privilege(%s, 'ledger_book(jsonb, timestamptz, text)', 'EXECUTE')", [role]
            )
            assert cursor.fetchone() == (True,)
            cursor.execute(f"SET LOCAL ROLE {role}")

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'saola_app'")
        if cursor.fetchone() is None:
            pytest.skip("this server has no role saola_app; the test stack's has")
    return become


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A test that commits, for threads and processes. Cleans up the ledger alone, which `transaction=True` would do by
    truncating every table of the project (two seconds a test); its owner lifts the triggers for that."""
    if not connection.settings_dict["NAME"].startswith("test_"):
        # pytest-django sets a test database up only where a collected test asks for `db`; this one must never work
        # in the database that the settings name.
        pytest.fail("no test database was set up: run the whole folder or file, not this test alone")
    with django_db_blocker.unblock():
        yield
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ledger_transfer DISABLE TRIGGER USER")
            cursor.execute("ALTER TABLE ledger_account DISABLE TRIGGER USER")
            cursor.execute("DELETE FROM ledger_transfer; DELETE FROM ledger_account; DELETE FROM ledger_verification")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE ledger_transfer ENABLE TRIGGER USER")
            cursor.execute("ALTER TABLE ledger_account ENABLE TRIGGER USER")
        connections.close_all()
