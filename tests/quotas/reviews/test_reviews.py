"""Who reviews what, what binds whom, and when a reviewer sees what."""

from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.http import Http404

from portal.clock import centre_date, now
from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from portal.people.models import Membership, Organisation, Project, User
from portal.people.services import centre_role_revoke
from quotas.applications.errors import Invalid, WrongState
from quotas.applications.models import Application
from quotas.applications.services import application_withdraw
from quotas.programmes.errors import CriteriaFixed
from quotas.programmes.models import Call
from quotas.programmes.services import criteria_set
from quotas.proposals.services import conflict_declare
from quotas.reviews import errors
from quotas.reviews.models import Assignment, Score
from quotas.reviews.selectors import is_blind, review_get, reviewed_by, reviews_of, reviews_of_others
from quotas.reviews.services import (
    assign_by_expertise,
    assignment_make,
    assignment_remove,
    conflict_name,
    conflict_own_declare,
    decision_confirm,
    expertise_set,
    review_accept,
    review_save,
    review_submit,
    reviewer_add,
    reviewer_leave,
    reviews_reopen,
)
from quotas.reviews.services.assignments import reviews_resume
from quotas.reviews.services.scoring import ScoreGiven
from quotas.reviews.tasks import remind_due
from tests import factories
from tests.quotas.makers import CRITERIA
from tests.quotas.reviews.conftest import Apply, Propose, another_reviewer, reviewed, scores

pytestmark = pytest.mark.django_db


def sees(person: User, review: Assignment) -> bool:
    return reviews_of(person).filter(pk=review.pk).exists()


# --- assigning ------------------------------------------------------------------------------------------------------


def test_only_operators_arrange(asked: Application, call: Call, reviewer: User, approver: User) -> None:
    with pytest.raises(errors.NotOperator):
        reviewer_add(person=approver, call=call, reviewer=reviewer)
    with pytest.raises(errors.NotOperator):
        assignment_make(person=approver, application=asked, reviewer=reviewer)
    with pytest.raises(errors.NotOperator):
        assign_by_expertise(person=approver, call=call)


def test_who_is_no_reviewer_of_the_call_gets_nothing(
    asked: Application, call: Call, operator: User, reviewer: User, nobody: User
) -> None:
    with pytest.raises(errors.NotReviewer):
        reviewer_add(person=operator, call=call, reviewer=nobody)
    with pytest.raises(errors.NotReviewer):
        assignment_make(person=operator, application=asked, reviewer=reviewer)


def test_a_reviewer_is_told_by_mail_of_the_organisation_and_not_of_the_title(
    review: Assignment, mailoutbox: list[EmailMessage]
) -> None:
    messages_deliver(queue="default")
    [mail] = mailoutbox
    assert mail.to == ["dung@reviewers.example"]
    assert "Sao Mai AI" in mail.subject
    assert "Trợ lý ảo tiếng Việt" not in mail.subject + str(mail.body)


def test_a_review_is_taken_back_and_given_again(review: Assignment, operator: User, reviewer: User) -> None:
    assignment_remove(person=operator, assignment=review)
    assert not sees(reviewer, review)
    again = assignment_make(person=operator, application=review.application, reviewer=reviewer)
    assert (again.pk, again.state) == (review.pk, "assigned")
    assert sees(reviewer, review)


def test_a_reviewer_with_open_reviews_stays_in_the_call(
    review: Assignment, operator: User, call: Call, reviewer: User
) -> None:
    with pytest.raises(Invalid):
        reviewer_leave(person=operator, call=call, reviewer=reviewer)
    assignment_remove(person=operator, assignment=review)
    reviewer_leave(person=operator, call=call, reviewer=reviewer)


def test_nothing_is_assigned_once_a_decision_is_proposed(
    asked: Application, call: Call, propose: Propose, operator: User, reviewer: User
) -> None:
    reviewer_add(person=operator, call=call, reviewer=reviewer)
    propose(application=asked)
    with pytest.raises(WrongState):
        assignment_make(person=operator, application=asked, reviewer=reviewer)


def test_by_expertise_the_one_who_knows_the_field_is_asked_and_the_choice_explains_itself(
    apply: Apply, call: Call, operator: User, reviewer: User, second_reviewer: User
) -> None:
    apply("Hỗ trợ chẩn đoán", sector="health")
    for one in (reviewer, second_reviewer, another_reviewer("khoa")):
        reviewer_add(person=operator, call=call, reviewer=one)
    expertise_set(
        person=second_reviewer,
        reviewer=second_reviewer,
        sectors=["health"],
        product_groups=["assistant"],
        open_reviews_limit=5,
    )
    found = assign_by_expertise(person=operator, call=call)
    assert not found.unmet
    assert Assignment.objects.count() == 2
    best = Assignment.objects.get(reviewer=second_reviewer)
    assert best.matched == {
        "points": 3,
        "is_sector": True,
        "is_product_group": True,
        "load_before": 0,
        "choices": 3,
    }
    assert not assign_by_expertise(person=operator, call=call).matches  # nothing is missing


def test_by_expertise_nobody_who_is_bound_or_has_another_part_is_asked(
    apply: Apply,
    call: Call,
    operator: User,
    reviewer: User,
    second_reviewer: User,
    organisation: Organisation,
) -> None:
    apply("Trợ lý")
    for one in (reviewer, second_reviewer):
        reviewer_add(person=operator, call=call, reviewer=one)
    conflict_declare(person=reviewer, organisation=organisation, reason="x", declared_by=reviewer)
    found = assign_by_expertise(person=operator, call=call)
    assert [one.reviewer for one in found.matches] == [second_reviewer.pk]
    assert list(found.unmet.values()) == [1]


def test_expertise_is_of_the_lists_words(reviewer: User, operator: User, approver: User) -> None:
    with pytest.raises(Invalid):
        expertise_set(
            person=reviewer, reviewer=reviewer, sectors=["astrology"], product_groups=[], open_reviews_limit=5
        )
    with pytest.raises(errors.NotOperator):
        expertise_set(person=approver, reviewer=reviewer, sectors=[], product_groups=[], open_reviews_limit=5)
    assert expertise_set(
        person=operator, reviewer=reviewer, sectors=["health"], product_groups=[], open_reviews_limit=5
    ).sectors == ["health"]


# --- what binds -----------------------------------------------------------------------------------------------------


def test_a_member_of_the_organisation_cannot_be_asked(
    asked: Application, call: Call, operator: User, reviewer: User, organisation: Organisation
) -> None:
    reviewer_add(person=operator, call=call, reviewer=reviewer)
    factories.member(reviewer, organisation)
    with pytest.raises(errors.ReviewerConflict):
        assignment_make(person=operator, application=asked, reviewer=reviewer)


def test_who_joins_the_organisation_sees_it_no_more_and_the_score_counts_no_more(
    review: Assignment, reviewer: User, organisation: Organisation
) -> None:
    reviewed(review)
    factories.member(reviewer, organisation, Membership.Role.MEMBER)
    assert not sees(reviewer, review)
    assert (Assignment.objects.get().state, Assignment.objects.get().end) == ("ended", "conflict")


def test_who_joins_one_of_its_projects_sees_it_no_more(review: Assignment, reviewer: User, project: Project) -> None:
    factories.project_member(reviewer, project)
    assert not sees(reviewer, review)
    assert Assignment.objects.get().end == "conflict"


def test_a_reviewer_declares_a_conflict_and_the_operators_are_told(
    review: Assignment, reviewer: User, operator: User, mailoutbox: list[EmailMessage]
) -> None:
    messages_deliver(queue="default")
    conflict_own_declare(person=reviewer, assignment=review, reason="Tôi góp vốn.")
    assert not sees(reviewer, review)
    messages_deliver(queue="default")
    assert mailoutbox[-1].to == [operator.email]


def test_an_organisations_manager_names_a_reviewer(
    review: Assignment, reviewer: User, organisation: Organisation, organisation_manager: User
) -> None:
    conflict_name(
        person=organisation_manager, organisation=organisation, email="DUNG@reviewers.example", reason="Đối thủ"
    )
    assert not sees(reviewer, review)


def test_an_interest_that_was_lifted_does_not_bring_the_review_back(
    review: Assignment, reviewer: User, organisation: Organisation
) -> None:
    membership = factories.member(reviewer, organisation)
    membership.delete()
    assert not sees(reviewer, review)


def test_without_the_role_nothing_is_seen(review: Assignment, reviewer: User) -> None:
    review_accept(person=reviewer, assignment=review)
    assert Application.objects.filter(reviewed_by(reviewer)).exists()
    centre_role_revoke(user=reviewer, role="reviewer")
    assert not Application.objects.filter(reviewed_by(reviewer)).exists()
    with pytest.raises(Http404):
        review_get(reviewer, review.pk)


# --- scoring --------------------------------------------------------------------------------------------------------


def test_the_application_is_read_only_after_the_question_of_interest(review: Assignment, reviewer: User) -> None:
    assert not Application.objects.filter(reviewed_by(reviewer)).exists()
    review_accept(person=reviewer, assignment=review)
    assert Application.objects.filter(reviewed_by(reviewer)).exists()


def test_a_draft_is_kept_and_a_review_is_submitted_whole(review: Assignment, reviewer: User, call: Call) -> None:
    review_accept(person=reviewer, assignment=review)
    review_save(person=reviewer, assignment=review, scores={"merit": ScoreGiven(3, "")}, comment="")
    with pytest.raises(errors.ReviewIncomplete):
        review_submit(person=reviewer, assignment=review, scores={"merit": ScoreGiven(3, "tốt")}, comment="")
    assert Score.objects.get().reason == ""  # what was refused is not half kept
    done = review_submit(person=reviewer, assignment=review, scores=scores(call, 3), comment="Khá.")
    assert done.score_basis_points == 6_000
    with pytest.raises(errors.ReviewClosed):
        review_save(person=reviewer, assignment=review, scores=scores(call, 5), comment="")


def test_scores_are_weighted_over_each_criterions_highest(review: Assignment, reviewer: User) -> None:
    review_accept(person=reviewer, assignment=review)
    given = {"merit": ScoreGiven(5, "x"), "impact": ScoreGiven(2, "x"), "team": ScoreGiven(0, "x")}
    done = review_submit(person=reviewer, assignment=review, scores=given, comment="")
    assert done.score_basis_points == 6_333  # (3·5/5 + 2·2/5 + 1·0) / 6


@pytest.mark.parametrize("value", [-1, 6])
def test_a_score_outside_its_criterion_is_refused(review: Assignment, reviewer: User, value: int) -> None:
    review_accept(person=reviewer, assignment=review)
    with pytest.raises(Invalid) as refused:
        review_save(person=reviewer, assignment=review, scores={"merit": ScoreGiven(value, "x")}, comment="")
    assert refused.value.field == "score_merit"


def test_the_criteria_stand_from_the_first_score_on(review: Assignment, call: Call) -> None:
    reviewed(review)
    with pytest.raises(CriteriaFixed):
        criteria_set(call=call, criteria=CRITERIA, actor="test")


def test_another_reviewer_cannot_write_it(review: Assignment, second_reviewer: User) -> None:
    with pytest.raises(errors.NotReviewer):
        review_accept(person=second_reviewer, assignment=review)
    with pytest.raises(errors.NotReviewer):
        review_save(person=second_reviewer, assignment=review, scores={}, comment="")


def test_reviewers_do_not_see_each_others_before_their_own_is_in(review: Assignment, second_review: Assignment) -> None:
    reviewed(second_review)
    review_accept(person=review.reviewer, assignment=review)
    review.refresh_from_db()
    assert reviews_of_others(review) == []
    assert is_blind(review.reviewer, review.application)
    done = reviewed(review)
    assert [one.pk for one in reviews_of_others(done)] == [second_review.pk]
    assert not is_blind(review.reviewer, review.application)


def test_the_operators_are_told_when_all_reviews_are_in(
    review: Assignment, second_review: Assignment, operator: User, mailoutbox: list[EmailMessage]
) -> None:
    reviewed(review)
    messages_deliver(queue="default")
    assert operator.email not in [address for mail in mailoutbox for address in mail.to]
    reviewed(second_review)
    messages_deliver(queue="default")
    assert mailoutbox[-1].to == [operator.email]


# --- what happens meanwhile -----------------------------------------------------------------------------------------


def test_a_withdrawal_ends_the_reviews_and_tells_the_reviewers(
    review: Assignment, second_review: Assignment, organisation_manager: User, mailoutbox: list[EmailMessage]
) -> None:
    reviewed(second_review)
    messages_deliver(queue="default")
    mailoutbox.clear()
    application_withdraw(person=organisation_manager, application=review.application)
    assert list(Assignment.objects.order_by("pk").values_list("state", "end")) == [
        ("ended", "withdrawn"),
        ("submitted", ""),
    ]
    messages_deliver(queue="default")
    reviewers = [mail.to[0] for mail in mailoutbox if mail.to[0].endswith("@reviewers.example")]
    assert reviewers == ["dung@reviewers.example"]


def test_a_decision_ends_what_is_open(
    review: Assignment, propose: Propose, asked: Application, second_operator: User
) -> None:
    decision_confirm(person=second_operator, decision=propose(application=asked))
    assert Assignment.objects.get().end == "decided"


def test_a_proposed_decision_stops_the_scoring(
    review: Assignment, propose: Propose, asked: Application, reviewer: User, call: Call
) -> None:
    review_accept(person=reviewer, assignment=review)
    propose(application=asked)
    with pytest.raises(WrongState):
        review_save(person=reviewer, assignment=review, scores=scores(call), comment="")


def test_a_return_makes_drafts_of_what_was_scored_and_a_resubmission_gives_new_time(
    review: Assignment, organisation_manager: User, mailoutbox: list[EmailMessage]
) -> None:
    reviewed(review)
    reopened = review.application
    reviews_reopen(reopened, organisation_manager)
    row = Assignment.objects.get()
    assert (row.state, row.score_basis_points, row.scores.count()) == ("accepted", None, 3)
    Assignment.objects.update(due_on=centre_date(now()))
    reviews_resume(reopened, organisation_manager)
    assert Assignment.objects.get().due_on == centre_date(now()) + timedelta(days=14)
    messages_deliver(queue="default")
    assert len([mail for mail in mailoutbox if mail.to == ["dung@reviewers.example"]]) == 3


@pytest.mark.parametrize(("days", "asked_for"), [(3, 1), (0, 1), (-7, 1), (2, 0)])
def test_what_is_due_is_remembered_once(
    review: Assignment, mailoutbox: list[EmailMessage], days: int, asked_for: int
) -> None:
    messages_deliver(queue="default")
    mailoutbox.clear()
    Assignment.objects.update(due_on=centre_date(now()) + timedelta(days=days))
    remind_due()
    remind_due()
    assert Message.objects.filter(topic="reviews.due").count() == asked_for
    messages_deliver(queue="default")
    assert len(mailoutbox) == asked_for
