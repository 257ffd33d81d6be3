"""What every role gets at every URL: the words of the table. An app's rows lie in `tests/<package>/<app>/url_roles.py`:

    from tests.urls.roles import Row, World

    ROWS = [
        Row("jobs:list", 200),                                          # everybody who is logged in; strangers: login
        Row("jobs:job", 404, args=lambda world: [world.job.pk], researcher=200, pi=200, operator=200),
        Row("jobs:cancel", 404, post={}, args=lambda world: [world.job.pk], researcher=302, pi=302),
    ]

    def prepare(world: World) -> None:                                  # optional: objects the rows need
        world.job = make_a_job(world.project, world.researcher)

`Row(name, status, …)`: the status for every logged-in role that is not named; `anonymous` is the login page unless
named. `client` makes a role's client where that is no browser with a session but a program with a token. Rows are found
by themselves. A URL of the project without a row fails the test.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from django.test import Client

LOGIN = "login"  # a redirect to the login page
Expected = int | str
World = SimpleNamespace  # every fixture of tests/conftest.py by its name, and what `prepare` adds

ROLES = (
    "anonymous",
    "nobody",
    "researcher",
    "pi",
    "organisation_member",
    "organisation_manager",
    "outsider",
    "other_researcher",
    "operator",
    "second_operator",
    "approver",
    "reviewer",
    "auditor",
)


class Row:
    def __init__(
        self,
        name: str,
        status: Expected,
        *,
        args: Callable[[World], list[Any]] | None = None,
        query: str = "",
        post: Mapping[str, Any] | Callable[[World], Mapping[str, Any]] | None = None,
        anonymous: Expected = LOGIN,
        client: Callable[[Any], Client] | None = None,
        **roles: Expected,
    ) -> None:
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise ValueError(f"{name}: no role is called {', '.join(sorted(unknown))}")
        self.name = name
        self.args = args or (lambda world: [])
        self.query = query
        self.post = post
        self.client = client
        self.expected = {role: roles.get(role, status) for role in ROLES} | {"anonymous": anonymous}

    @property
    def is_post(self) -> bool:
        return self.post is not None

    def data(self, world: World) -> Mapping[str, Any]:
        return self.post(world) if callable(self.post) else self.post or {}

    def __repr__(self) -> str:
        return f"{'POST' if self.is_post else 'GET'} {self.name}{self.query}"
