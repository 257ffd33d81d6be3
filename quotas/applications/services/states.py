"""One way to move an application from state to state, with the reason on the record, and who is told.

The record is the history that the database keeps of every change (`timeline.py` reads it).
"""

from collections.abc import Sequence
from typing import Any

from portal.clock import now
from portal.outbox.services import message_write
from portal.people.models import User
from quotas.applications.errors import WrongState
from quotas.applications.models import Application
from quotas.applications.rules import people_of


def application_state_move(
    application: Application, before: Sequence[str], after: str, *, reason: str = "", **columns: Any
) -> None:
    """For services, in their transaction: from one of some states to another, with the reason for people to read, and
    other columns with it. Raises WrongState.

    Compare and set: of two who act on the same application at once, the second is told what the first made of it.
    """
    moment = now()
    moved = Application.objects.filter(pk=application.pk, state__in=list(before)).update(
        state=after, state_reason=reason, state_at=moment, updated_at=moment, **columns
    )
    application.refresh_from_db(fields=["state", "state_reason", "state_at", "updated_at", *columns])
    if not moved:
        raise WrongState(application.get_state_display())


def people_tell(application: Application, *, by: User) -> None:
    """A mail to everybody who writes it, in the transaction of the move: what happened, who did it, why."""
    for person in people_of(application):
        message_write(
            topic="applications.moved",
            key=f"{application.pk}.{application.state_at.timestamp():.6f}.{person.pk}",
            payload={
                "application": application.pk,
                "user": person.pk,
                "by": by.pk,
                "state": application.state,
                "reason": application.state_reason,
                "is_again": application.submissions.count() > 1,
            },
        )
