"""Proposing, approving, sending back: who may, who may not, and what happens."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import mail
from django.db import connection

from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from portal.people.models import Organisation, User
from quotas.proposals.errors import (
    CannotBeCarriedOut,
    ConflictOfInterest,
    Invalid,
    NotAllowed,
    ProposalError,
    SamePerson,
    WrongState,
)
from quotas.proposals.models import Approval, Conflict, Proposal
from quotas.proposals.rules import has_conflict
from quotas.proposals.services import conflict_declare, conflict_lift, proposal_approve, proposal_send_back
from tests import factories
from tests.quotas.proposals.conftest import Done, Make

pytestmark = pytest.mark.django_db


def test_another_persons_yes_carries_it_out_once(make: Make, done: Done, operator: User, approver: User) -> None:
    proposal = make()
    after = proposal_approve(proposal=proposal, person=approver)
    assert done == [proposal]
    assert (after.state, after.decided_by) == ("carried_out", approver)
    with pytest.raises(WrongState):
        proposal_approve(proposal=proposal, person=approver)
    assert done == [proposal]


def test_a_proposer_does_not_approve(make: Make, done: Done, operator: User) -> None:
    proposal = make()
    with pytest.raises(SamePerson):
        proposal_approve(proposal=proposal, person=operator)
    proposal.refresh_from_db()
    assert (proposal.state, done, Approval.objects.count()) == ("waiting", [], 0)


def test_above_the_limit_two_others_are_needed(make: Make, done: Done, second_operator: User, approver: User) -> None:
    proposal = make(approvals_needed=2)
    assert proposal_approve(proposal=proposal, person=approver).state == "waiting"
    with pytest.raises(SamePerson):
        proposal_approve(proposal=proposal, person=approver)
    assert done == []
    assert proposal_approve(proposal=proposal, person=second_operator).state == "carried_out"
    assert done == [proposal]


@pytest.mark.parametrize("who", ["nobody", "auditor", "reviewer", "approver", "organisation_manager"])
def test_only_operators_propose(make: Make, who: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotAllowed):
        make(person=request.getfixturevalue(who))


@pytest.mark.parametrize("who", ["nobody", "auditor", "reviewer", "organisation_manager"])
def test_only_operators_and_approvers_decide(make: Make, who: str, request: pytest.FixtureRequest) -> None:
    proposal, person = make(), request.getfixturevalue(who)
    with pytest.raises(NotAllowed):
        proposal_approve(proposal=proposal, person=person)
    with pytest.raises(NotAllowed):
        proposal_send_back(proposal=proposal, person=person, reason="no")


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 4_001, "a\x00b"])
def test_a_reason_is_given(make: Make, approver: User, reason: str) -> None:
    with pytest.raises(Invalid):
        make(reason=reason)
    with pytest.raises(Invalid):
        proposal_send_back(proposal=make(), person=approver, reason=reason)


def test_what_cannot_be_carried_out_keeps_waiting_without_the_approval(make: Make, done: Done, approver: User) -> None:
    proposal = make()
    done.refuses = True
    with pytest.raises(CannotBeCarriedOut, match="the budget is too small"):
        proposal_approve(proposal=proposal, person=approver)
    proposal.refresh_from_db()
    assert (proposal.state, Approval.objects.count()) == ("waiting", 0)


def test_sent_back_it_is_over(make: Make, done: Done, approver: User) -> None:
    proposal = make()
    after = proposal_send_back(proposal=proposal, person=approver, reason="Sai số tiền")
    assert (after.state, after.sent_back_by, after.sent_back_reason) == ("sent_back", approver, "Sai số tiền")
    with pytest.raises(WrongState):
        proposal_approve(proposal=proposal, person=approver)
    assert done == []


def test_a_proposer_takes_it_back(make: Make, operator: User) -> None:
    assert proposal_send_back(proposal=make(), person=operator, reason="Nhầm").state == "sent_back"
    assert not Message.objects.exists()  # who did it knows


def test_a_process_proposes_where_the_kind_lets_it(make: Make, done: Done, operator: User, approver: User) -> None:
    proposal = make(person="worker:default")
    assert (proposal.proposed_by, proposal.proposed_by_process) == (None, "worker:default")
    proposal_approve(proposal=proposal, person=operator)
    assert done == [proposal]
    with pytest.raises(NotAllowed):
        make(kind="tariff", person="worker:default")


# --- conflicts of interest ------------------------------------------------------------------------------------------


def test_who_is_bound_to_the_organisation_takes_no_part(
    make: Make, organisation: Organisation, other_organisation: Organisation, operator: User, approver: User
) -> None:
    proposal = make(organisation=organisation)
    factories.member(approver, organisation)
    with pytest.raises(ConflictOfInterest):
        proposal_approve(proposal=proposal, person=approver)
    with pytest.raises(ConflictOfInterest):
        proposal_send_back(proposal=proposal, person=approver, reason="x")
    proposal_approve(proposal=make(organisation=other_organisation), person=approver)
    factories.member(operator, organisation)
    with pytest.raises(ConflictOfInterest):
        make(organisation=organisation)


def test_a_declared_interest_binds_until_it_is_lifted(
    make: Make, organisation: Organisation, approver: User, operator: User, nobody: User
) -> None:
    proposal = make(organisation=organisation)
    conflict = conflict_declare(person=approver, organisation=organisation, reason="Vợ", declared_by=approver)
    assert has_conflict(approver, organisation)
    with pytest.raises(ConflictOfInterest):
        proposal_approve(proposal=proposal, person=approver)
    for wrong in (approver, nobody):
        with pytest.raises(NotAllowed):
            conflict_lift(conflict=conflict, actor=wrong)
    conflict_lift(conflict=conflict, actor=operator)
    assert not has_conflict(approver, organisation)
    proposal_approve(proposal=proposal, person=approver)


def test_either_side_names_an_interest_and_strangers_do_not(
    organisation: Organisation, reviewer: User, organisation_manager: User, operator: User, outsider: User
) -> None:
    def named_by(person: User) -> Conflict:
        return conflict_declare(person=reviewer, organisation=organisation, reason="Đồng tác giả", declared_by=person)

    with pytest.raises(NotAllowed):
        named_by(outsider)
    first = named_by(organisation_manager)
    assert named_by(operator) == first
    with pytest.raises(Invalid):
        conflict_declare(person=operator, organisation=organisation, reason=" ", declared_by=operator)


def test_a_proposer_who_was_bound_meanwhile_is_no_proposer(
    make: Make, done: Done, organisation: Organisation, operator: User, approver: User
) -> None:
    proposal = make(organisation=organisation)
    factories.member(operator, organisation)
    with pytest.raises(ConflictOfInterest):
        proposal_approve(proposal=proposal, person=approver)
    assert (done, Approval.objects.count()) == ([], 0)


# --- mails ----------------------------------------------------------------------------------------------------------


def test_the_proposer_is_told(make: Make, operator: User, approver: User) -> None:
    proposal_send_back(proposal=make(), person=approver, reason="Thiếu căn cứ")
    proposal_approve(proposal=make(), person=approver)
    assert messages_deliver(queue="default") == 2
    back, carried_out = mail.outbox
    assert back.to == carried_out.to == [operator.email]
    assert "Thiếu căn cứ" in back.body
    assert str(approver) in carried_out.body


# --- at once --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("needed", [1, 2])
def test_approvers_at_once_carry_it_out_once(make: Make, done: Done, needed: int) -> None:
    proposal = make(approvals_needed=needed)
    people = [
        factories.person(f"a{number}@centre.example", f"Approver {number}", centre_roles=("approver",))  # type: ignore[arg-type]
        for number in range(6)
    ]

    def approve(person: User) -> str:
        try:
            return proposal_approve(proposal=proposal, person=person).state
        except ProposalError as error:
            return type(error).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=6) as pool:
        answers = sorted(pool.map(approve, people))
    assert answers == sorted(["carried_out"] + ["waiting"] * (needed - 1) + ["WrongState"] * (6 - needed))
    assert len(done) == 1
    assert Approval.objects.count() == needed
    assert Proposal.objects.get().state == "carried_out"


@pytest.mark.django_db(transaction=True)
def test_of_an_approval_and_a_refusal_at_once_one_counts(
    make: Make, done: Done, approver: User, second_operator: User
) -> None:
    def send_back(proposal: Proposal) -> str:
        return proposal_send_back(proposal=proposal, person=second_operator, reason="no").state

    def approve(proposal: Proposal) -> str:
        return proposal_approve(proposal=proposal, person=approver).state

    def one(verb: object, proposal: Proposal) -> str:
        try:
            return verb(proposal)  # type: ignore[operator, no-any-return]
        except WrongState:
            return "late"
        finally:
            connection.close()

    for _round in range(5):
        proposal = make()
        with ThreadPoolExecutor(max_workers=2) as pool:
            answers = list(pool.map(one, (approve, send_back), (proposal, proposal)))
        proposal.refresh_from_db()
        assert answers in (["carried_out", "late"], ["late", "sent_back"])
        assert proposal.state in answers
