"""A program that speaks to the API: a client with a token and without a session."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.test import Client

from portal.api.services import token_make
from portal.people.models import Project, User


class Program(Client):
    """Sends JSON."""

    def post(self, path: str, data: Any = None, content_type: str = "application/json", **extra: Any) -> Any:
        return super().post(path, {} if data is None else data, content_type=content_type, **extra)


def token_for(person: User, *scopes: str, project: Project | None = None) -> str:
    wanted = scopes or ("read", "submit", "operate")
    return token_make(person=person, name="a program", scopes=wanted, life=timedelta(days=1), project=project)[1]


def program_of(person: User, *scopes: str, project: Project | None = None) -> Program:
    return Program(headers={"Authorization": f"Bearer {token_for(person, *scopes, project=project)}"})


def carrying(*scopes: str) -> Callable[[User], Program]:
    """For the table of URLs and roles: each role's person with a token of these scopes."""
    return lambda person: program_of(person, *scopes)
