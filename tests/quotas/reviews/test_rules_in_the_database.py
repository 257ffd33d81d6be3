"""What the database refuses, whoever asks: the owner of the tables, and the processes' own roles."""

from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from portal.clock import now
from portal.people.models import Membership, Organisation, User
from quotas.applications.models import Application
from quotas.programmes.models import Call, Programme
from quotas.proposals.models import Approval, Proposal
from quotas.proposals.services import conflict_declare, proposal_make
from quotas.reviews.models import Assignment, Decision, Part, Score
from quotas.reviews.services import decision_confirm, review_accept
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.reviews.conftest import Propose, reviewed

pytestmark = pytest.mark.django_db
Become = Callable[[], None]


@pytest.fixture(params=["owner", "saola_web", "saola_worker"])
def become(request: pytest.FixtureRequest) -> Iterator[Become]:
    """`become()`: from here on the statements are this role's; what a test needs was made by the owner before."""
    with connection.cursor() as cursor:

        def become() -> None:
            if request.param == "owner":
                return
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [request.param])
            if cursor.fetchone() == (0,):
                pytest.skip("this server is a developer's own: it has no roles")
            cursor.execute(f"SET LOCAL ROLE {request.param}")

        yield become


def confirm(decision: Decision) -> None:
    """As a program that knows no rules would write it."""
    Decision.objects.filter(pk=decision.pk).update(state="confirmed")


def test_a_whole_way_needs_no_other_rights(
    become: Become, review: Assignment, propose: Propose, asked: Application, second_operator: User
) -> None:
    become()
    reviewed(review)
    decision = decision_confirm(person=second_operator, decision=propose(application=asked))
    assert decision.state == "confirmed"


def test_a_decision_is_not_confirmed_by_one_person(become: Become, propose: Propose, operator: User) -> None:
    decision = propose()
    become()
    with pytest.raises(IntegrityError, match="decision_two_people"), transaction.atomic():
        confirm(decision)
    with pytest.raises(IntegrityError, match="approval_another_person"), transaction.atomic():
        Approval.objects.create(proposal=decision.proposal, proposed_by=operator, approver=operator, approved_at=now())
    with pytest.raises(IntegrityError, match="proposal_approvals"), transaction.atomic():
        Proposal.objects.update(state="carried_out", closed_at=now())


def test_above_the_limit_two_approve(
    become: Become, programme: Programme, propose: Propose, second_operator: User, approver: User
) -> None:
    makers.tariff("h100", 50_000)
    Programme.objects.update(three_person_above_vnd=400 * 50_000 - 1)
    programme.refresh_from_db()
    application = Application.objects.select_related("programme", "organisation").get()
    decision = propose(application=application)
    assert (decision.amount_vnd, decision.proposal.approvals_needed) == (20_000_000, 2)
    become()
    decision = decision_confirm(person=second_operator, decision=decision)
    assert decision.state == "proposed"
    with pytest.raises(IntegrityError, match="decision_two_people"), transaction.atomic():
        confirm(decision)
    decision = decision_confirm(person=approver, decision=decision)
    assert (decision.state, decision.confirmed_by) == ("confirmed", [second_operator, approver])


def test_nobody_asks_for_one_approval_where_two_are_needed(
    become: Become, application: Application, operator: User
) -> None:
    makers.tariff("h100", 50_000)
    Programme.objects.update(three_person_above_vnd=1_000_000)
    become()
    facts = {
        "application": application.pk,
        "outcome": "award",
        "gpu_seconds": 400 * HOUR,
        "cluster": "local",
        "amount_vnd": 0,
    }
    proposal = proposal_make(
        kind="award", facts=facts, reason="x", person=operator, organisation=application.organisation
    )
    with pytest.raises(IntegrityError, match="decision_three_people"), transaction.atomic():
        Decision.objects.create(
            application=application,
            proposal=proposal,
            outcome="award",
            awarded_gpu_seconds=400 * HOUR,
            cluster="local",
        )


def test_a_decision_says_what_its_proposal_says(become: Become, propose: Propose) -> None:
    decision = propose()
    become()
    with pytest.raises(IntegrityError, match="decision_immutable"), transaction.atomic():
        Decision.objects.update(awarded_gpu_seconds=500 * HOUR)
    with pytest.raises(DatabaseError), transaction.atomic():
        Decision.objects.all()._raw_delete("default")  # type: ignore[attr-defined]
    assert decision.awarded_gpu_seconds == 400 * HOUR


def test_one_part_a_person(
    become: Become, review: Assignment, propose: Propose, asked: Application, reviewer: User, operator: User
) -> None:
    become()
    for who in (asked.applicant, operator):
        if who == operator:
            propose(application=asked)
        with pytest.raises(IntegrityError, match=r"part_one_a_person|review_conflict"), transaction.atomic():
            Assignment.objects.create(
                application=asked, reviewer=who, assigned_by=operator, assigned_at=now(), due_on=now().date()
            )
    decision = Decision.objects.get()
    with pytest.raises(IntegrityError, match="part_one_a_person"), transaction.atomic():
        Approval.objects.create(proposal=decision.proposal, proposed_by=operator, approver=reviewer, approved_at=now())
    with pytest.raises(DatabaseError), transaction.atomic():
        Part.objects.update(part="approver")
    with pytest.raises(IntegrityError, match="part_one_a_person"), transaction.atomic():
        Application.objects.filter(pk=asked.pk).update(applicant=reviewer)


def test_a_bound_reviewer_is_refused_and_a_later_interest_ends_the_review(
    become: Become, review: Assignment, organisation: Organisation, reviewer: User, operator: User
) -> None:
    become()
    Membership.objects.create(user=reviewer, organisation=organisation, role="member", created_at=now())
    assert Assignment.objects.get().end == "conflict"
    with pytest.raises(IntegrityError, match="review_conflict_of_interest"), transaction.atomic():
        Assignment.objects.update(state="accepted", accepted_at=now(), ended_at=None, end="")


def test_a_submitted_review_stays(become: Become, review: Assignment, call: Call) -> None:
    reviewed(review)
    become()
    with pytest.raises(IntegrityError, match="score_while_reviewing"), transaction.atomic():
        Score.objects.update(value=5)
    with pytest.raises(IntegrityError, match="review_submitted_stays"), transaction.atomic():
        Assignment.objects.update(score_basis_points=10_000)


def test_no_half_review_and_no_score_above_the_highest(
    become: Become, review: Assignment, reviewer: User, call: Call
) -> None:
    review_accept(person=reviewer, assignment=review)
    become()
    with pytest.raises(IntegrityError, match="review_whole"), transaction.atomic():
        Assignment.objects.update(state="submitted", submitted_at=now(), score_basis_points=10_000)
    criterion = call.criteria.first()
    assert criterion is not None
    with pytest.raises(IntegrityError, match="score_of_its_criterion"), transaction.atomic():
        Score.objects.create(assignment=review, criterion=criterion, value=6, reason="x")


def test_a_declared_interest_ends_the_review_for_the_processes_too(
    become: Become, review: Assignment, organisation: Organisation, reviewer: User
) -> None:
    become()
    conflict_declare(person=reviewer, organisation=organisation, reason="x", declared_by=reviewer)
    assert Assignment.objects.get().end == "conflict"
