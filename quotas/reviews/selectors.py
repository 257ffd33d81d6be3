"""What a reviewer sees, what waits for a decision, and what a person can do with it.

A reviewer sees an application through an assignment, and only while no interest binds the two: the interest is looked
up in the fetch itself, so no order of changes leaves a way round it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import CentreRole, Project, User
from portal.people.rules import Person, is_operator, is_reviewer, reads_everything
from quotas.applications.models import Application
from quotas.applications.selectors import WAITING, application_get, applications_listed
from quotas.programmes.models import Call
from quotas.proposals.models import Approval
from quotas.proposals.rules import has_conflict, may_approve, organisations_in_conflict
from quotas.reviews.models import Assignment, CallReviewer, Decision, ReviewerProfile, Score

State = Application.State
Review = Assignment.State
OPEN = (Review.ASSIGNED, Review.ACCEPTED)


# --- a reviewer's own -----------------------------------------------------------------------------------------------


def reviews_of(person: Person) -> QuerySet[Assignment]:
    """A reviewer's applications, those due first; none that the person is bound to. Raises Http404 for others."""
    if not isinstance(person, User) or not is_reviewer(person):
        raise Http404
    return (
        Assignment.objects.filter(reviewer=person)
        .exclude(state=Review.ENDED)
        .exclude(application__organisation__in=organisations_in_conflict(person))
        .select_related("application__organisation", "application__programme", "application__call")
        .order_by("due_on", "pk")
    )


def review_get(person: Person, pk: int) -> Assignment:
    """Raises Http404: not this person's, ended, or an interest binds the person to the organisation."""
    return get_object_or_404(reviews_of(person), pk=pk)


def scores_of(assignment: Assignment) -> dict[str, Score]:
    """By the criterion's key."""
    return {one.criterion.key: one for one in assignment.scores.select_related("criterion")}


def reviews_of_others(assignment: Assignment) -> list[Assignment]:
    """What the other reviewers of it submitted; nothing before one's own is in."""
    if assignment.state != Review.SUBMITTED:
        return []
    return _submitted(assignment.application, without=assignment.pk)


def reviewed_by(person: User) -> Q:
    """For applications.writers: a reviewer reads (attachments too) what he or she declared no interest in."""
    mine = Assignment.objects.filter(reviewer=person, state__in=[Review.ACCEPTED, Review.SUBMITTED])
    if not CentreRole.objects.filter(user=person, role=CentreRole.Role.REVIEWER).exists():
        return Q(pk__in=[])
    return Q(pk__in=mine.values("application")) & ~Q(organisation__in=organisations_in_conflict(person))


def _submitted(application: Application, *, without: int | None = None) -> list[Assignment]:
    rows = (
        Assignment.objects.filter(application=application, state=Review.SUBMITTED)
        .select_related("reviewer")
        .prefetch_related(Prefetch("scores", queryset=Score.objects.select_related("criterion")))
        .order_by("submitted_at", "pk")
    )
    return [one for one in rows if one.pk != without]


# --- the centre's page of an application ----------------------------------------------------------------------------


def application_get_in_review(person: Person, pk: int) -> Application:
    """For the centre's page of it: operators, approvers and auditors. Raises Http404."""
    if not reads_everything(person):
        raise Http404
    return application_get(person, pk)


def is_blind(person: User, application: Application) -> bool:
    """Who may not see the reviews: one bound to the organisation, and one who is still to hand in a review of it."""
    waits = Assignment.objects.filter(application=application, reviewer=person, state__in=OPEN)
    return has_conflict(person, application.organisation) or waits.exists()


def assignments_of(person: User, application: Application) -> list[Assignment]:
    """All reviews of it, with their scores where they were submitted and the person may see them."""
    rows = (
        Assignment.objects.filter(application=application)
        .select_related("reviewer", "assigned_by")
        .order_by("assigned_at", "pk")
    )
    if is_blind(person, application):
        return list(rows.defer("score_basis_points", "comment"))
    return list(rows.prefetch_related(Prefetch("scores", queryset=Score.objects.select_related("criterion"))))


def application_get_proposable(person: Person, pk: int) -> Application:
    """For a proposal: operators. Raises Http404."""
    if not is_operator(person):
        raise Http404
    return application_get(person, pk)


def decision_get_confirmable(person: Person, application_pk: int, pk: int) -> Decision:
    """For a confirmation or for sending back: operators and approvers. Raises Http404."""
    if not may_approve(person):
        raise Http404
    rows = Decision.objects.select_related(
        "application__organisation",
        "application__programme",
        "application__applicant",
        "proposal__proposed_by",
        "project",
    )
    return get_object_or_404(rows, pk=pk, application=application_pk)


def _with_people(rows: QuerySet[Decision]) -> QuerySet[Decision]:
    approvals = Approval.objects.select_related("approver").order_by("pk")
    return rows.select_related("proposal__proposed_by", "proposal__sent_back_by").prefetch_related(
        Prefetch("proposal__approvals", queryset=approvals)
    )


def decisions_of(application: Application) -> list[Decision]:
    """All of an application's decisions, those sent back included, newest first."""
    return list(_with_people(application.decisions.select_related("project", "allocation", "voucher")))


def decision_queue(person: Person) -> QuerySet[Application]:
    """What waits for a decision, the oldest first, each with its proposal in `proposals`. Raises Http404."""
    if not reads_everything(person):
        raise Http404
    proposals = Decision.objects.exclude(state=Decision.State.SENT_BACK).select_related("proposal")
    return (
        applications_listed(person, "organisation")
        .filter(state__in=WAITING)
        .prefetch_related(Prefetch("decisions", queryset=proposals, to_attr="proposals"))
        .order_by("submitted_at", "id")
    )


@dataclass(frozen=True)
class Verbs:
    """What a person can do with an application now. `conflict`: the person is bound to the applying organisation."""

    propose: bool
    confirm: bool
    send_back: bool
    conflict: bool
    part: str  # what the person has been in it already, or ""


def verbs_of(person: User, application: Application, decisions: list[Decision]) -> Verbs:
    """What is offered; what is allowed is decided by the services, and in the end by the database."""
    conflict = may_approve(person) and has_conflict(person, application.organisation)
    standing = next((one for one in decisions if one.state != Decision.State.SENT_BACK), None)
    decides = application.state == State.PROPOSED and not conflict and may_approve(person)
    part = application.parts.filter(person=person).values_list("part", flat=True).first() or ""
    return Verbs(
        propose=application.state == State.SUBMITTED
        and not conflict
        and is_operator(person)
        and part in ("", "proposer"),
        confirm=decides and standing is not None and part == "" and person not in standing.confirmed_by,
        send_back=decides,
        conflict=conflict,
        part=part,
    )


def projects_for_award(application: Application) -> QuerySet[Project]:
    return Project.objects.filter(organisation=application.organisation, is_active=True).order_by("title", "id")


# --- a call's reviewers ---------------------------------------------------------------------------------------------


def calls_in_review(person: Person) -> QuerySet[Call]:
    """Every call with how many applications wait and how many reviews are open. Raises Http404."""
    if not reads_everything(person):
        raise Http404
    waiting = Count("applications", filter=Q(applications__state__in=WAITING), distinct=True)
    return Call.objects.select_related("programme").annotate(waiting=waiting).order_by("-closes_at", "-pk")


def call_get_in_review(person: Person, slug: str) -> Call:
    """Raises Http404 for others than the centre's people."""
    if not reads_everything(person):
        raise Http404
    return get_object_or_404(Call.objects.select_related("programme"), slug=slug)


def call_get_arranged(person: Person, slug: str) -> Call:
    """For changes: operators. Raises Http404."""
    if not is_operator(person):
        raise Http404
    return call_get_in_review(person, slug)


def assignment_get_arranged(person: Person, slug: str, pk: int) -> Assignment:
    """For taking back: operators. Raises Http404."""
    call = call_get_arranged(person, slug)
    return get_object_or_404(Assignment.objects.select_related("application"), pk=pk, application__call=call)


@dataclass(frozen=True)
class ReviewerRow:
    """A reviewer of a call: what he or she knows, and has to do, in this call and in all."""

    user: User
    profile: ReviewerProfile | None
    open_here: int
    done_here: int
    open_anywhere: int


def reviewers_of(call: Call) -> list[ReviewerRow]:
    """By name, in three queries."""
    people = User.objects.filter(pk__in=CallReviewer.objects.filter(call=call).values("user"))
    here = Q(assignments__application__call=call)
    rows = people.annotate(
        open_here=Count("assignments", filter=here & Q(assignments__state__in=OPEN)),
        done_here=Count("assignments", filter=here & Q(assignments__state=Review.SUBMITTED)),
        open_anywhere=Count("assignments", filter=Q(assignments__state__in=OPEN)),
    ).select_related("expertise")
    return [
        ReviewerRow(
            user=one,
            profile=getattr(one, "expertise", None),
            open_here=one.open_here,
            done_here=one.done_here,
            open_anywhere=one.open_anywhere,
        )
        for one in rows
    ]


def reviewers_that_can_join(call: Call) -> QuerySet[User]:
    joined = CallReviewer.objects.filter(call=call).values("user")
    return User.objects.filter(centre_roles__role=CentreRole.Role.REVIEWER, is_active=True).exclude(pk__in=joined)


def matrix_places(call: Call) -> QuerySet[Application, int]:
    """The numbers of the call's submitted applications, those with the fewest reviewers first."""
    counting = Count("assignments", filter=~Q(assignments__state=Review.ENDED))
    rows = Application.objects.filter(call=call, state__in=[*WAITING, State.AWARDED, State.REFUSED])
    return rows.values_list("pk", flat=True).annotate(reviewer_count=counting).order_by("reviewer_count", "pk")


def matrix_rows(pks: Iterable[int], reviewers: Sequence[ReviewerRow]) -> list[Application]:
    """These applications, in this order, each with its reviews in `reviews`, and in `to_ask` whom of the reviewers it
    can still be given to: who never had it, or had it taken back by the centre.
    """
    reviews = Assignment.objects.select_related("reviewer").order_by("pk")
    rows = Application.objects.select_related("organisation").prefetch_related(
        Prefetch("assignments", queryset=reviews, to_attr="reviews")
    )
    known = rows.in_bulk(list(pks))
    for one in known.values():
        had = {row.reviewer_id for row in one.reviews if row.end != Assignment.End.REMOVED}
        one.to_ask = [row for row in reviewers if row.user.pk not in had]  # type: ignore[attr-defined]
    return [known[pk] for pk in pks]


def reviewer_get_profiled(person: Person, pk: int) -> User:
    """For the expertise page: one's own, or any reviewer's for operators. Raises Http404."""
    people = User.objects.filter(centre_roles__role=CentreRole.Role.REVIEWER)
    if not isinstance(person, User) or not (is_operator(person) or person.pk == pk):
        raise Http404
    return get_object_or_404(people, pk=pk)


def labels_of(keys: Iterable[str], choices: Iterable[tuple[str, object]]) -> list[str]:
    known = dict(choices)
    return [str(known[key]) for key in keys if key in known]
