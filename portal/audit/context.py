"""Says who acts and why, for the history that the database's triggers write.

A request's person is known already (pghistory's middleware); services add the reason. Workers and commands name
themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pghistory

if TYPE_CHECKING:
    from portal.people.models import User


@contextmanager
def acting(actor: "User | str | None", why: str = "") -> Iterator[None]:
    """Changes made inside are recorded as made by `actor` (a person, or a process such as "worker:cluster.local").

    An actor or a reason that was already set stays where this one is empty.
    """
    known: dict[str, object] = {}
    if isinstance(actor, str):
        known["process"] = actor
    elif actor is not None:
        known["user"] = actor.pk
    if why:
        known["why"] = why
    with pghistory.context(**known):
        yield
