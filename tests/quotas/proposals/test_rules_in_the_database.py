"""What the database refuses, whoever asks: the owner of the tables, and the web process's own role."""

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from portal.clock import now
from portal.people.models import Organisation, User
from quotas.proposals.models import Approval, Proposal
from quotas.proposals.services import conflict_declare, proposal_approve, proposal_send_back
from tests import factories
from tests.quotas.proposals.conftest import Done, Make

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["owner", "saola_web", "saola_worker"])
def become(request: pytest.FixtureRequest) -> Iterator[object]:
    """`become()`: from here on the statements are this role's; what a test needs was made by the owner before."""
    role = request.param
    with connection.cursor() as cursor:

        def become() -> None:
            if role == "owner":
                return
            cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role])
            if cursor.fetchone() == (0,):
                pytest.skip("this server is a developer's own: it has no roles")
            cursor.execute(f"SET LOCAL ROLE {role}")

        yield become


def approve(proposal: Proposal, approver: User, proposed_by: User | None = None) -> None:
    """An approval as a program that knows no rules would write it."""
    Approval.objects.create(
        proposal=proposal, proposed_by=proposed_by or proposal.proposed_by, approver=approver, approved_at=now()
    )


def carry_out(proposal: Proposal) -> None:
    Proposal.objects.filter(pk=proposal.pk).update(state="carried_out", closed_at=now())


def test_a_whole_decision_needs_no_other_rights(
    make: Make, done: Done, organisation: Organisation, become, approver: User, operator: User, second_operator: User
) -> None:
    become()
    proposal = make(approvals_needed=2, organisation=organisation)
    proposal_approve(proposal=proposal, person=approver)
    assert proposal_approve(proposal=proposal, person=second_operator).state == "carried_out"
    assert proposal_send_back(proposal=make(), person=approver, reason="x").state == "sent_back"
    conflict_declare(person=approver, organisation=organisation, reason="x", declared_by=approver)


def test_nobody_approves_what_he_proposed(make: Make, become, operator: User, approver: User) -> None:
    proposal = make()
    become()
    with pytest.raises(IntegrityError, match="approval_another_person"), transaction.atomic():
        approve(proposal, operator)
    with pytest.raises(IntegrityError, match="approval_of_its_proposer"), transaction.atomic():
        approve(proposal, operator, proposed_by=approver)
    with (
        pytest.raises(IntegrityError, match="approval_of_its_proposer"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO proposals_approval (proposal_id, proposed_by_id, approver_id, approved_at)"
            " VALUES (%s, NULL, %s, %s)",
            [proposal.pk, operator.pk, now()],
        )


def test_nobody_approves_twice_or_what_is_closed(make: Make, become, approver: User, second_operator: User) -> None:
    proposal, closed = make(approvals_needed=2), make()
    proposal_send_back(proposal=closed, person=approver, reason="x")
    become()
    approve(proposal, approver)
    with pytest.raises(IntegrityError, match="approval_once_a_person"), transaction.atomic():
        approve(proposal, approver)
    with pytest.raises(IntegrityError, match="approval_while_waiting"), transaction.atomic():
        approve(closed, second_operator)


def test_it_is_carried_out_with_enough_approvals_only(
    make: Make, become, approver: User, second_operator: User
) -> None:
    proposal = make(approvals_needed=2)
    become()
    for person in (approver, second_operator):
        with pytest.raises(IntegrityError, match="proposal_approvals"), transaction.atomic():
            carry_out(proposal)
        approve(proposal, person)
    carry_out(proposal)
    for state in ("waiting", "sent_back"):
        with pytest.raises(IntegrityError, match="proposal_closed"), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(
                state=state, closed_at=None if state == "waiting" else now(), sent_back_by=None
            )


def test_it_begins_waiting(make: Make, done: Done, become, operator: User) -> None:
    become()
    with pytest.raises(IntegrityError, match="proposal_approvals"), transaction.atomic():
        Proposal.objects.create(
            kind="test",
            facts={},
            reason="x",
            state="carried_out",
            proposed_by=operator,
            proposed_at=now(),
            closed_at=now(),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"facts": {"amount": 8}},
        {"kind": "tariff"},
        {"reason": "another"},
        {"approvals_needed": 2},
        {"proposed_by": None, "proposed_by_process": "x"},
        {"organisation": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_it_says_never_changes(make: Make, organisation: Organisation, become, change: dict[str, object]) -> None:
    proposal = make(organisation=organisation)
    become()
    with pytest.raises(DatabaseError, match=r"proposal_immutable|permission denied"), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(**change)


def test_nothing_of_it_is_deleted_and_no_approval_changes(make: Make, become, approver: User) -> None:
    proposal = make()
    proposal_approve(proposal=proposal, person=approver)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else TRUNCATE is refused for another reason
    become()
    for statement in (
        "DELETE FROM proposals_approval",
        "DELETE FROM proposals_proposal",
        "TRUNCATE proposals_approval",
        "TRUNCATE proposals_proposal CASCADE",
        "UPDATE proposals_approval SET approver_id = approver_id + 1",
    ):
        with (
            pytest.raises(DatabaseError, match=r"refused|permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_an_interest_bars_the_approver_and_every_earlier_part(
    make: Make, organisation: Organisation, become, operator: User, approver: User, second_operator: User
) -> None:
    proposal = make(organisation=organisation, approvals_needed=2)
    approve(proposal, second_operator)
    conflict_declare(person=approver, organisation=organisation, reason="x", declared_by=approver)
    factories.member(second_operator, organisation)
    third = factories.person("ba@centre.example", "Ba", centre_roles=("approver",))  # type: ignore[arg-type]
    become()
    with pytest.raises(IntegrityError, match="approval_conflict_of_interest"), transaction.atomic():
        approve(proposal, approver)
    approve(proposal, third)
    with pytest.raises(IntegrityError, match="proposal_conflict_of_interest"), transaction.atomic():
        carry_out(proposal)
