"""When a call takes an application. What was begun before a call closes may still be submitted for a quarter of an hour
after it: a form that is open at that moment is nobody's loss. It is the same quarter for everybody, and pages say so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from portal.clock import now
from quotas.applications.models import Application
from quotas.programmes.models import Call

GRACE = timedelta(minutes=15)
RESUBMIT_DAYS = 14  # after a return, whether the call is still open or not


def grace_minutes() -> int:
    return int(GRACE.total_seconds()) // 60


@dataclass(frozen=True)
class Deadline:
    """Until when an application can be submitted. `is_grace`: the call has closed, the quarter of an hour runs."""

    closes_at: datetime | None
    last_at: datetime | None
    is_grace: bool
    is_over: bool


def deadline_of(application: Application) -> Deadline:
    """Of a draft: its call's end and the grace after it; of a returned application: what the return said."""
    moment = now()
    if application.state == Application.State.RETURNED and application.resubmit_by is not None:
        last_at = application.resubmit_by
        return Deadline(last_at, last_at, is_grace=False, is_over=moment >= last_at)
    call = application.call
    if call is None:
        return Deadline(None, None, is_grace=False, is_over=False)
    last_at = call.closes_at + GRACE
    return Deadline(call.closes_at, last_at, is_grace=call.closes_at <= moment < last_at, is_over=moment >= last_at)


def is_open(call: Call) -> bool:
    """Whether new applications are begun. No grace here: who has not begun has nothing to lose."""
    return call.opens_at <= now() < call.closes_at
