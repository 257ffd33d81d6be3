"""Every URL × every role, from one table: `tests/urls/roles.py` says how to add a row."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.urls.roles import LOGIN, ROLES, Expected, Row, World

TESTS = Path(__file__).resolve().parent.parent
TABLES: list[ModuleType] = [
    importlib.import_module(".".join(("tests", *path.relative_to(TESTS).with_suffix("").parts)))
    for path in sorted(TESTS.rglob("url_roles.py"))
]
ROWS: list[Row] = [row for table in TABLES for row in table.ROWS]
NOT_OURS = {"schema"}  # URLs of a library that has its own tests


def every_url_name(resolver: URLResolver, spaces: tuple[str, ...] = ()) -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from every_url_name(entry, (*spaces, entry.namespace) if entry.namespace else spaces)
        elif isinstance(entry, URLPattern):
            yield ":".join((*spaces, entry.name or f"(no name) {entry.pattern}"))


def test_every_url_has_a_row() -> None:
    missing = sorted(set(every_url_name(get_resolver())) - {row.name for row in ROWS} - NOT_OURS)
    assert not missing, f"add a row to a url_roles.py for: {', '.join(missing)}"


def test_every_row_has_a_url() -> None:
    assert {row.name for row in ROWS} <= set(every_url_name(get_resolver()))


@pytest.fixture
def world(request: pytest.FixtureRequest, db: None) -> World:
    names = [role for role in ROLES if role != "anonymous"]
    names += ["organisation", "other_organisation", "project", "other_project", "second_researcher"]
    return World(**{name: request.getfixturevalue(name) for name in names})


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_a_role_gets_what_the_table_says(row: Row, world: World, client_of: Callable[..., Client]) -> None:
    for table in TABLES:
        if row in table.ROWS and hasattr(table, "prepare"):
            table.prepare(world)
    url = reverse(row.name, args=row.args(world)) + row.query
    wrong = {}
    for role, expected in row.expected.items():
        client = Client() if role == "anonymous" else (row.client or client_of)(getattr(world, role))
        with transaction.atomic():  # what one role changes, the next one does not see
            response = client.post(url, row.data(world)) if row.is_post else client.get(url)
            if response.streaming:  # a download's file is closed when it was read
                b"".join(response.streaming_content)
            transaction.set_rollback(True)
        to_login = response.status_code == 302 and response.headers["Location"].startswith(reverse("account_login"))
        got: Expected = LOGIN if to_login else response.status_code
        if got != expected:
            wrong[role] = f"{got} instead of {expected}"
    assert not wrong
