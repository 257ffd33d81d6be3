"""Every URL × every role, from one table: `tests/urls/roles.py` says how to add a row."""

import importlib
from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from pathlib import Path
from types import ModuleType

import pytest
from django.core.cache import cache
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


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__.removeprefix("tests."))
def test_a_role_gets_what_the_table_says(table: ModuleType, world: World, client_of: Callable[..., Client]) -> None:
    if hasattr(table, "prepare"):
        table.prepare(world)
    programs = {row.client for row in table.ROWS if row.client}
    clients = {
        (make, role): Client() if role == "anonymous" else make(getattr(world, role))
        for make in (client_of, *programs)
        for role in ROLES
    }
    wrong = {}
    for row in table.ROWS:
        url = reverse(row.name, args=row.args(world)) + row.query
        for role, expected in row.expected.items():
            got = answered(clients[row.client or client_of, role], row, url, world)
            if got != expected:
                wrong[f"{row!r} as {role}"] = f"{got} instead of {expected}"
    assert not wrong


def answered(client: Client, row: Row, url: str, world: World) -> Expected:
    """What it changes, in the database, in caches and in the client's own cookies, the next request does not see."""
    client = copy(client)
    client.cookies = deepcopy(client.cookies)
    cache.clear()
    with transaction.atomic():
        response = client.post(url, row.data(world)) if row.is_post else client.get(url)
        if response.streaming:  # a download's file is closed when it was read
            b"".join(response.streaming_content)
        transaction.set_rollback(True)
    to_login = response.status_code == 302 and response.headers["Location"].startswith(reverse("account_login"))
    return LOGIN if to_login else response.status_code
