"""Says who acts and why, for the history that the database's triggers write.

The triggers (django-pghistory's) read two settings of the transaction. Here they are set once in each transaction that
writes, before its first write; pghistory's own context sets them with every statement, which is a tenth of a job's
submission. A request's person is known already (`middleware`); services add the reason. Workers and commands name
themselves.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.db import connection
from django.http import HttpRequest
from psycopg.pq import TransactionStatus

from portal.transactions import in_transaction

if TYPE_CHECKING:
    from portal.people.models import User

# What can change a row; anything else needs no history. A function that is called by SELECT says nothing by itself.
WRITES = ("INSERT", "UPDATE", "DELETE", "WITH", "MERGE", "TRUNCATE", "DO", "CALL")
# Both end with the transaction.
_SET = "SELECT set_config('pghistory.context_id', %s, true), set_config('pghistory.context_metadata', %s, true)"
_thread = threading.local()


class Context:
    """One request, or one piece of a process's work: what its changes have in common."""

    def __init__(self, known: dict[str, object], request: HttpRequest | None = None) -> None:
        self.id = str(uuid4())
        self._known = known
        self._request = request
        # The list of what is to be done after commit is another one in each transaction, and after a savepoint was
        # undone, which undoes settings too.
        self._told: tuple[object, dict[str, object]] = (None, {})

    def add(self, known: Mapping[str, object]) -> None:
        self._known |= known

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]
    ) -> Any:
        """As a wrapper of the connection's statements."""
        if not sql.lstrip()[:8].upper().startswith(WRITES):
            return execute(sql, params, many, context)
        # A statement by itself becomes a transaction of its own, which can be told.
        with in_transaction():
            self._tell(context["connection"])
            return execute(sql, params, many, context)

    def _tell(self, using: Any) -> None:
        where, known = self._told
        if where is using.run_on_commit and known == self._facts():
            return
        if using.connection.info.transaction_status != TransactionStatus.INERROR:
            using.connection.execute(_SET, [self.id, json.dumps(self._facts())])
            self._told = using.run_on_commit, self._facts()

    def _facts(self) -> dict[str, object]:
        return self._of_request() | self._known

    def _of_request(self) -> dict[str, object]:
        """Asked when something is written: who signs in during a request, or shows a token, did what follows."""
        if self._request is None:
            return {}
        person = getattr(self._request, "user", None)
        return {"user": person.pk if person is not None else None, "url": self._request.path}


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
    with _context(known):
        yield


@contextmanager
def answering(request: HttpRequest) -> Iterator[None]:
    """Changes made inside are recorded with the request's address and the person who is signed in by then."""
    with _context({}, request):
        yield


def known_add(**known: object) -> None:
    """Says more about what goes on now, until its end. Does nothing where nobody acts."""
    current: Context | None = getattr(_thread, "context", None)
    if current is not None:
        current.add(known)


@contextmanager
def _context(known: dict[str, object], request: HttpRequest | None = None) -> Iterator[None]:
    if getattr(_thread, "context", None) is not None:
        known_add(**known)
        yield
        return
    _thread.context = Context(known, request)
    try:
        with connection.execute_wrapper(_thread.context):
            yield
    finally:
        _thread.context = None
