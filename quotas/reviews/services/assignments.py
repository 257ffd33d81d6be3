"""Who reviews what: by hand, or by expertise and load; taken back, ended, opened again."""

from collections import defaultdict
from dataclasses import asdict
from datetime import date, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Q

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.outbox.services import message_write
from portal.people.models import CentreRole, Membership, ProjectMembership, User
from portal.people.rules import is_operator
from quotas.applications.errors import WrongState
from quotas.applications.models import Application
from quotas.programmes.models import Call
from quotas.proposals.models import Conflict
from quotas.reviews.errors import NotOperator, NotReviewer, ReviewClosed, error_from
from quotas.reviews.matching import Candidate, Matching, Wish, matching
from quotas.reviews.models import OPEN_REVIEWS_USUAL, Assignment, CallReviewer, Part, ReviewerProfile

State = Assignment.State
OPEN = (State.ASSIGNED, State.ACCEPTED)
COUNTING = (*OPEN, State.SUBMITTED)
DAYS_TO_REVIEW = 14


def assignment_make(
    *, person: User, application: Application, reviewer: User, due_on: date | None = None
) -> Assignment:
    """Gives an application to a reviewer of its call, by hand. One that the centre took back can be given again.

    Raises NotOperator, NotReviewer, WrongState, ReviewerConflict, OtherPart (both the database's word).
    """
    if not is_operator(person):
        raise NotOperator
    with transaction.atomic(), acting(person, "assignment_make"):
        _check_reviewer(application, reviewer)
        _check_in_review(application)
        return _make(person, application.pk, reviewer.pk, due_on or _due(), None)


def assignment_remove(*, person: User, assignment: Assignment) -> None:
    """Takes an open review back. What was submitted stays. Raises NotOperator, ReviewClosed."""
    if not is_operator(person):
        raise NotOperator
    with transaction.atomic(), acting(person, "assignment_remove"):
        open_one = Assignment.objects.filter(pk=assignment.pk, state__in=OPEN)
        if not open_one.update(state=State.ENDED, ended_at=now(), end=Assignment.End.REMOVED):
            raise ReviewClosed
        _tell("reviews.ended", assignment.pk, now().isoformat())


def assign_by_expertise(*, person: User, call: Call, due_on: date | None = None) -> Matching:
    """Gives every application of a call that waits the reviewers it lacks, and keeps why each was chosen.

    The same call gives the same answer; again gives only what is still missing. Raises NotOperator.
    """
    if not is_operator(person):
        raise NotOperator
    with transaction.atomic(), acting(person, "assign_by_expertise"):
        Call.objects.select_for_update(no_key=True).get(pk=call.pk)  # two clicks: the second finds nothing missing
        found = matching(_wishes(call), _candidates(call))
        for one in found.matches:
            why = {key: value for key, value in asdict(one).items() if key not in ("application", "reviewer")}
            _make(person, one.application, one.reviewer, due_on or _due(), why)
    return found


def reviews_end(*, application: Application, end: str) -> None:
    """Ends what is open of an application, in the transaction of what ended it, and tells the reviewers."""
    for pk in list(Assignment.objects.filter(application=application, state__in=OPEN).values_list("pk", flat=True)):
        Assignment.objects.filter(pk=pk).update(state=State.ENDED, ended_at=now(), end=end)
        _tell("reviews.ended", pk, end)


def reviews_withdrawn(application: Application, person: User) -> None:
    """The application was withdrawn, in whose transaction this runs."""
    reviews_end(application=application, end=Assignment.End.WITHDRAWN)


def reviews_reopen(application: Application, person: User) -> None:
    """The application was returned for changes, in whose transaction this runs: what was scored was another text. The
    scores stay as drafts; the reviewers are told now, and again when it comes back.
    """
    rows = Assignment.objects.filter(application=application, state__in=COUNTING)
    for pk in list(rows.values_list("pk", flat=True)):
        Assignment.objects.filter(pk=pk, state=State.SUBMITTED).update(
            state=State.ACCEPTED, submitted_at=None, score_basis_points=None
        )
        _tell("reviews.returned", pk, now().isoformat())


def reviews_resume(application: Application, person: User) -> None:
    """A returned application was submitted again, in whose transaction this runs: a new time to review begins."""
    for pk in list(Assignment.objects.filter(application=application, state__in=OPEN).values_list("pk", flat=True)):
        Assignment.objects.filter(pk=pk).update(due_on=_due())
        _tell("reviews.assigned", pk, now().isoformat())


def _due() -> date:
    return centre_date(now()) + timedelta(days=DAYS_TO_REVIEW)


def _tell(topic: str, assignment: int, moment: str) -> None:
    message_write(topic=topic, key=f"{assignment}:{moment}", payload={"assignment": assignment})


def _check_reviewer(application: Application, reviewer: User) -> None:
    holds_role = CentreRole.objects.filter(user=reviewer, role=CentreRole.Role.REVIEWER, user__is_active=True).exists()
    if not holds_role or not CallReviewer.objects.filter(call=application.call_id, user=reviewer).exists():
        raise NotReviewer


def _check_in_review(application: Application) -> None:
    # Locked: it is not decided or withdrawn between this look and the new row.
    locked = Application.objects.select_for_update(no_key=True).get(pk=application.pk)
    if locked.state != Application.State.SUBMITTED:
        raise WrongState(locked.get_state_display())


def _make(person: User, application: int, reviewer: int, due_on: date, matched: dict[str, object] | None) -> Assignment:
    given = {"assigned_by": person, "assigned_at": now(), "due_on": due_on, "matched": matched}
    try:
        with transaction.atomic():
            row, is_new = Assignment.objects.get_or_create(
                application_id=application, reviewer_id=reviewer, defaults=given
            )
            if not is_new and row.state == State.ENDED and row.end == Assignment.End.REMOVED:
                Assignment.objects.filter(pk=row.pk).update(
                    state=State.ASSIGNED, ended_at=None, end="", accepted_at=None, **given
                )
                row.refresh_from_db()
                is_new = True
    except IntegrityError as error:
        raise error_from(error) or error from error
    if is_new:
        _tell("reviews.assigned", row.pk, row.assigned_at.isoformat())
    return row


# --- what the matching is given ------------------------------------------------------------------------------------


def _wishes(call: Call) -> list[Wish]:
    """In a handful of queries, however many applications."""
    waiting = Application.objects.filter(call=call, state=Application.State.SUBMITTED)
    rows = list(waiting.values_list("pk", "organisation_id", "sector", "product_group").order_by("pk"))
    barred: dict[int, set[int]] = defaultdict(set)
    have: dict[int, int] = defaultdict(int)
    parts = Part.objects.filter(application__in=waiting).exclude(part=Part.Kind.REVIEWER)
    for application, person in parts.values_list("application_id", "person_id"):
        barred[application].add(person)
    known = Assignment.objects.filter(application__in=waiting)
    for application, reviewer, state in known.values_list("application_id", "reviewer_id", "state"):
        barred[application].add(reviewer)
        have[application] += state in COUNTING
    bound = _bound_to(call)
    return [
        Wish(pk, sector, group, call.reviews_needed - have[pk], barred[pk] | bound[organisation])
        for pk, organisation, sector, group in rows
        if have[pk] < call.reviews_needed
    ]


def _bound_to(call: Call) -> dict[int, set[int]]:
    """Organisation → the reviewers of the call who are bound to it, as proposals.rules.organisations_in_conflict."""
    people = CallReviewer.objects.filter(call=call).values("user")
    bound: dict[int, set[int]] = defaultdict(set)
    for pairs in (
        Membership.objects.filter(user__in=people).values_list("organisation_id", "user_id"),
        ProjectMembership.objects.filter(user__in=people).values_list("project__organisation_id", "user_id"),
        Conflict.objects.filter(person__in=people).values_list("organisation_id", "person_id"),
    ):
        for organisation, person in pairs:
            bound[organisation].add(person)
    return bound


def _candidates(call: Call) -> list[Candidate]:
    people = User.objects.filter(
        pk__in=CallReviewer.objects.filter(call=call).values("user"),
        is_active=True,
        centre_roles__role=CentreRole.Role.REVIEWER,
    )
    loads = people.annotate(load=Count("assignments", filter=Q(assignments__state__in=OPEN))).order_by("pk")
    profiles = {profile.user_id: profile for profile in ReviewerProfile.objects.filter(user__in=people)}
    nothing = ReviewerProfile(open_reviews_limit=OPEN_REVIEWS_USUAL)
    return [
        Candidate(
            reviewer=one.pk,
            sectors=frozenset(profiles.get(one.pk, nothing).sectors),
            product_groups=frozenset(profiles.get(one.pk, nothing).product_groups),
            load=one.load,
            limit=profiles.get(one.pk, nothing).open_reviews_limit,
        )
        for one in loads
    ]
