"""The rules install where the processes' role exists and where it does not, and come off again."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

import quotas.ledger.migrations as migrations

RULES = Path(migrations.__path__[0], "0002_rules.sql").read_text(encoding="utf-8")
RULES_BACK = Path(migrations.__path__[0], "0002_rules_back.sql").read_text(encoding="utf-8")


@pytest.fixture
def empty_database(db: None) -> Iterator[psycopg.Connection]:
    """A database of its own with the ledger's tables and no rules yet."""
    tables = call_command("sqlmigrate", "ledger", "0001", stdout=StringIO())
    params = connection.get_connection_params()
    name = f"{params['dbname']}_rules"
    with psycopg.connect(**params | {"dbname": params["dbname"]}, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        server.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(**params | {"dbname": name}, autocommit=True) as own:
            own.execute(tables)
            yield own
        server.execute(f"DROP DATABASE {name}")


def objects(own: psycopg.Connection) -> list[tuple[str, ...]]:
    return own.execute(
        "SELECT proname FROM pg_proc WHERE proname LIKE 'ledger%'"
        " UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'ledger_staging%'"
    ).fetchall()


def test_a_server_without_the_role_gets_the_rules_all_the_same(empty_database: psycopg.Connection) -> None:
    empty_database.execute(RULES.replace("saola_app", "saola_nobody_has_this_role"))

    with pytest.raises(psycopg.errors.RestrictViolation):
        empty_database.execute("DELETE FROM ledger_transfer")


def test_the_rules_come_off_and_go_on_again(empty_database: psycopg.Connection) -> None:
    empty_database.execute(RULES)
    installed = objects(empty_database)

    empty_database.execute(RULES_BACK)
    assert objects(empty_database) == []

    empty_database.execute(RULES)
    assert objects(empty_database) == installed


def test_the_example_in_the_rules_works(empty_database: psycopg.Connection) -> None:
    """The comment at the top of the file, statement by statement."""
    empty_database.execute(RULES)
    lines = RULES.split("-- Try it in psql", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    example = "\n".join(line.removeprefix("--").split(" -- ")[0] for line in lines)
    make, book, read, update = [statement for statement in example.split(";") if statement.strip()]

    (source, pool) = (row[0] for row in empty_database.execute(make).fetchall())
    assert (source, pool) == (1, 2)
    assert empty_database.execute(book).fetchall() == [(1,)]
    assert empty_database.execute(book).fetchall() == [(0,)]
    assert sorted(row[-3:] for row in empty_database.execute(read).fetchall()) == [(0, 0, 3600), (3600, 0, 0)]
    with pytest.raises(psycopg.errors.RestrictViolation):
        empty_database.execute(update)
