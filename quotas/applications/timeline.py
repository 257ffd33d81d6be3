"""What happened to an application: who moved it, when, from which state to which, and why. Read from the history that
the database's own triggers keep, so that nothing can be left out of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps

from portal.people.models import User
from quotas.applications.models import Application

State = Application.State
ICONS = {
    State.DRAFT: "edit",
    State.SUBMITTED: "send",
    State.RETURNED: "rotate",
    State.PROPOSED: "gavel",
    State.AWARDED: "circle-check",
    State.REFUSED: "circle-x",
    State.WITHDRAWN: "archive",
}
# The model that pghistory made.
HISTORY: Any = apps.get_model("applications", "ApplicationEvent")


@dataclass(frozen=True)
class Move:
    before: str
    after: str
    at: datetime
    why: str
    user_id: int

    @property
    def is_told(self) -> bool:
        """Whether the applicant is told: a proposal, and its way back, stay inside the centre."""
        return self.after in (State.AWARDED, State.REFUSED, State.WITHDRAWN)


@dataclass(frozen=True)
class Step:
    at: datetime
    person: User | None
    before: str  # the state's words; "" for the beginning
    after: str
    why: str
    icon: str


def timeline_of(application: Application, *, is_ours: bool) -> list[Step]:
    """Newest first, in two queries. `is_ours`: for the centre, which also reads what is not decided yet."""
    events = HISTORY.objects.filter(pgh_obj_id=application.pk).order_by("pgh_id")
    moves: list[Move] = []
    before, since = "", None
    for state, at, why, context in events.values_list("state", "state_at", "state_reason", "pgh_context"):
        if (state, at) != (before, since):
            moves.append(Move(before, state, at, why, (context or {}).get("user", 0)))
        before, since = state, at
    if not is_ours:
        moves = [move for move in moves if State.PROPOSED not in (move.before, move.after) or move.is_told]
    people = User.objects.in_bulk({move.user_id for move in moves})
    return [
        Step(
            at=move.at,
            person=people.get(move.user_id),
            before=str(State(_outside(move.before) if not is_ours else move.before).label) if move.before else "",
            after=str(State(move.after).label),
            why=move.why,
            icon=ICONS[State(move.after)],
        )
        for move in reversed(moves)
    ]


def _outside(state: str) -> str:
    """A state as the applicant knows it: a decision that is proposed is still in review."""
    return State.SUBMITTED if state == State.PROPOSED else state
