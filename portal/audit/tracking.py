"""History of a model in one line: `@track()` above the class, then `manage.py makemigrations`.

PostgreSQL's own triggers copy every inserted, changed and deleted row to `<Model>Event`, with who and why, whatever
wrote it (a service, a bulk update, psql). The copies cannot be changed or deleted: a second trigger refuses it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pghistory
from django.db import models

M = TypeVar("M", bound=type[models.Model])


def track(*, exclude: Sequence[str] = ()) -> Callable[[M], M]:
    """Keeps the history of a model.

    `exclude` names fields that are secret (a password's hash) or change too often to be worth a row (a heartbeat).
    """
    decorate: Callable[[M], M] = pghistory.track(
        pghistory.InsertEvent("created"),
        pghistory.UpdateEvent("changed"),
        pghistory.DeleteEvent("deleted"),
        exclude=list(exclude),
        # Who and why are copied into each row: no shared context row that concurrent writers would wait for.
        context_field=pghistory.ContextJSONField(),
        context_id_field=pghistory.ContextUUIDField(),
        append_only=True,
        attrs={"pgh_id": models.BigAutoField(primary_key=True)},
        meta={"indexes": [models.Index(fields=["-pgh_created_at", "-pgh_id"])]},
    )
    return decorate
