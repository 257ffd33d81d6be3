"""A reviewer at work: the question of interest first, then scores with reasons, saved while typing, submitted once."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.outbox.services import message_write
from portal.people.models import User
from quotas.applications.errors import Invalid, WrongState
from quotas.applications.models import Application
from quotas.programmes.models import Criterion
from quotas.programmes.services import criteria_fix
from quotas.proposals.rules import has_conflict
from quotas.proposals.services import conflict_declare
from quotas.reviews.errors import NotReviewer, ReviewClosed, ReviewerConflict, ReviewIncomplete, error_from
from quotas.reviews.models import Assignment, Score
from quotas.texts import is_plain_text

State = Assignment.State
WHOLE_BASIS_POINTS = 10_000
TEXT_LENGTH = 4_000


@dataclass(frozen=True)
class ScoreGiven:
    """For one criterion; None: not yet."""

    value: int | None
    reason: str


def review_accept(*, person: User, assignment: Assignment) -> Assignment:
    """The reviewer declares no interest in the organisation; only now is the application shown.

    Raises NotReviewer, ReviewerConflict, ReviewClosed.
    """
    _check_own(person, assignment)
    with transaction.atomic(), acting(person, "review_accept"):
        try:
            with transaction.atomic():
                moved = Assignment.objects.filter(pk=assignment.pk, state=State.ASSIGNED).update(
                    state=State.ACCEPTED, accepted_at=now()
                )
        except IntegrityError as error:
            raise error_from(error) or error from error
    if not moved:
        raise ReviewClosed
    assignment.refresh_from_db()
    return assignment


def conflict_own_declare(*, person: User, assignment: Assignment, reason: str) -> None:
    """The reviewer declares an interest: the review ends (by the database's trigger), as do all of that organisation.

    Raises NotReviewer; Invalid of proposals.
    """
    if assignment.reviewer_id != person.pk:
        raise NotReviewer
    with transaction.atomic(), acting(person, "conflict_own_declare"):
        conflict_declare(
            person=person, organisation=assignment.application.organisation, reason=reason, declared_by=person
        )
        message_write(
            topic="reviews.conflict", key=f"{assignment.pk}:{now().isoformat()}", payload={"assignment": assignment.pk}
        )


def review_save(*, person: User, assignment: Assignment, scores: Mapping[str, ScoreGiven], comment: str) -> Assignment:
    """Keeps a draft, whole or not. Raises NotReviewer, ReviewerConflict, ReviewClosed, WrongState, Invalid (with the
    field)."""
    _check_own(person, assignment)
    criteria = {one.key: one for one in _criteria(assignment)}
    for key, given in scores.items():
        _check_score(criteria.get(key), given)
    if len(comment) > TEXT_LENGTH or not is_plain_text(comment):
        raise Invalid(_("Use at most 4,000 characters, without control characters."), field="comment")
    with transaction.atomic(), acting(person, "review_save"):
        locked = _lock_open(assignment)
        for key, given in scores.items():
            Score.objects.update_or_create(
                assignment=locked,
                criterion=criteria[key],
                defaults={"value": given.value, "reason": given.reason.strip()},
            )
        locked.comment = comment.strip()
        locked.save(update_fields=["comment"])
    return locked


def review_submit(
    *, person: User, assignment: Assignment, scores: Mapping[str, ScoreGiven], comment: str
) -> Assignment:
    """Saves and submits: from here on nothing of it changes, and the reviewer sees what the others found.

    Raises as review_save, and ReviewIncomplete.
    """
    with transaction.atomic(), acting(person, "review_submit"):
        review_save(person=person, assignment=assignment, scores=scores, comment=comment)
        locked = _lock_open(assignment)
        rows = list(Score.objects.filter(assignment=locked).select_related("criterion"))
        criteria = list(_criteria(assignment))
        if len(rows) < len(criteria) or any(row.value is None or not row.reason for row in rows):
            raise ReviewIncomplete
        if not criteria:
            raise Invalid(_("This call has no criteria yet."))
        assert locked.application.call is not None
        criteria_fix(call=locked.application.call)
        locked.state, locked.submitted_at = State.SUBMITTED, now()
        locked.score_basis_points = weighted_basis_points(rows)
        locked.save(update_fields=["state", "submitted_at", "score_basis_points"])
        message_write(
            topic="reviews.submitted",
            key=f"{locked.pk}:{locked.submitted_at.isoformat()}",
            payload={"assignment": locked.pk},
        )
    return locked


def weighted_basis_points(scores: list[Score]) -> int:
    """Σ weight × value ÷ highest value, over Σ weight: 10,000 is the best; exact, rounded half up once."""
    # Over the common denominator, in integers: Σ w·v·Π(other maxima) / (Σ w · Π maxima).
    product = 1
    for one in scores:
        product *= one.criterion.max_score
    reached = sum(one.criterion.weight * (one.value or 0) * (product // one.criterion.max_score) for one in scores)
    most = sum(one.criterion.weight for one in scores) * product
    return (2 * WHOLE_BASIS_POINTS * reached + most) // (2 * most)


def _criteria(assignment: Assignment) -> list[Criterion]:
    return list(Criterion.objects.filter(call=assignment.application.call_id))


def _check_own(person: User, assignment: Assignment) -> None:
    if assignment.reviewer_id != person.pk:
        raise NotReviewer
    if has_conflict(person, assignment.application.organisation):
        raise ReviewerConflict


def _check_score(criterion: Criterion | None, given: ScoreGiven) -> None:
    if criterion is None:
        raise Invalid(_("This call has no such criterion."))
    if given.value is not None and not 0 <= given.value <= criterion.max_score:
        raise Invalid(_("Score from 0 to %(most)d.") % {"most": criterion.max_score}, field=f"score_{criterion.key}")
    if len(given.reason) > TEXT_LENGTH or not is_plain_text(given.reason):
        raise Invalid(_("Use at most 4,000 characters, without control characters."), field=f"reason_{criterion.key}")


def _lock_open(assignment: Assignment) -> Assignment:
    locked = (
        Assignment.objects.select_for_update(of=("self",)).select_related("application__call").get(pk=assignment.pk)
    )
    if locked.state != State.ACCEPTED:
        raise ReviewClosed
    if locked.application.state != Application.State.SUBMITTED:  # returned, or a decision is proposed already
        raise WrongState(locked.application.get_state_display())
    return locked
