"""An application's steps on the record: who, when, from what to what, and why. From the history that the database's
triggers write, so that no step is missing and none is made up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.utils.translation import gettext as _

from portal.people.models import User
from quotas.applications.models import Application
from quotas.reviews.models import Assignment, Decision

_STATES = Application.State
_REVIEW_STATES = Assignment.State


@dataclass(frozen=True)
class Step:
    at: datetime
    who: str
    what: str
    before: str
    after: str
    why: str


def timeline_of(application: Application, decisions: list[Decision], *, with_reviews: bool) -> list[Step]:
    """The latest first. `with_reviews`: who reviewed is for the centre's people only."""
    steps = _own_steps(application) + [step for decision in decisions for step in _decision_steps(decision)]
    if with_reviews:
        steps += _review_steps(application)
    return sorted(steps, key=lambda step: step.at, reverse=True)


def _own_steps(application: Application) -> list[Step]:
    events = list(_events("applications", "ApplicationEvent").filter(pgh_obj_id=application.pk).order_by("pgh_id"))
    people = _people(events)
    steps: list[Step] = []
    before = ""
    for event in events:
        if event.pgh_label == "deleted" or event.state == before:
            continue
        # Awarded, refused and proposed are told by the decision itself, with its reason.
        if event.state not in (_STATES.PROPOSED, _STATES.AWARDED, _STATES.REFUSED):
            steps.append(
                Step(
                    at=event.state_at,
                    who=_who(event, people),
                    what=_("Application"),
                    before=str(_STATES(before).label) if before else "",
                    after=str(_STATES(event.state).label),
                    why=event.state_reason,
                )
            )
        before = event.state
    return steps


def _decision_steps(decision: Decision) -> list[Step]:
    proposal = decision.proposal
    name = str(decision.get_outcome_display())
    proposed, waits = _("Proposed"), _("In review")
    steps = [Step(proposal.proposed_at, str(decision.proposed_by), name, waits, proposed, proposal.reason)]
    approvals = list(proposal.approvals.all())
    for number, one in enumerate(approvals, start=1):
        is_last = number >= proposal.approvals_needed
        after = _("Confirmed") if is_last else _("Confirmed by one of two")
        before = proposed if number == 1 else _("Confirmed by one of two")
        steps.append(Step(one.approved_at, str(one.approver), name, before, after, ""))
    if decision.sent_back_at:
        steps.append(
            Step(
                decision.sent_back_at,
                str(proposal.sent_back_by),
                name,
                proposed,
                _("Sent back"),
                proposal.sent_back_reason,
            )
        )
    return steps


def _review_steps(application: Application) -> list[Step]:
    events = list(_events("reviews", "AssignmentEvent").filter(application_id=application.pk).order_by("pgh_id"))
    people = _people(events) | User.objects.in_bulk({event.reviewer_id for event in events})
    steps: list[Step] = []
    before: dict[int, str] = {}
    for event in events:
        known = before.get(event.pgh_obj_id, "")
        if event.state == known:
            continue
        why = str(Assignment.End(event.end).label) if event.end else ""
        if event.pgh_label == "created":
            why = _("By expertise and load") if event.matched else _("By hand")
        moments = {
            _REVIEW_STATES.ASSIGNED: event.assigned_at,
            _REVIEW_STATES.ACCEPTED: event.accepted_at,
            _REVIEW_STATES.SUBMITTED: event.submitted_at,
            _REVIEW_STATES.ENDED: event.ended_at,
        }
        at = event.pgh_created_at if known == _REVIEW_STATES.SUBMITTED else moments[event.state]
        steps.append(
            Step(
                at=at or event.pgh_created_at,
                who=_who(event, people),
                what=_("Review by %(name)s") % {"name": people[event.reviewer_id]},
                before=str(_REVIEW_STATES(known).label) if known else "",
                after=str(_REVIEW_STATES(event.state).label),
                why=why,
            )
        )
        before[event.pgh_obj_id] = event.state
    return steps


def _events(app: str, name: str) -> Any:
    return apps.get_model(app, name).objects


def _people(events: list[Any]) -> dict[int, User]:
    return User.objects.in_bulk(
        {event.pgh_context["user"] for event in events if (event.pgh_context or {}).get("user")}
    )


def _who(event: Any, people: dict[int, User]) -> str:
    context: dict[str, Any] = event.pgh_context or {}
    person = people.get(context.get("user") or 0)
    return str(person) if person else str(context.get("process", ""))
