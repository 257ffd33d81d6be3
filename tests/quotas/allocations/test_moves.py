"""A move that the centre makes by hand: proposed by one person, approved by another, booked after the lower limit."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation, Voucher, Withdrawal
from quotas.allocations.services import allocation_create, proposed, withdrawal_confirm, withdrawal_request
from quotas.ledger.verification import ledger_findings
from quotas.proposals.errors import NotAllowed
from quotas.proposals.models import Approval, Proposal
from tests import factories
from tests.quotas import makers
from tests.quotas.allocations.asking import asked, confirm_all, done, english, text
from tests.quotas.makers import HOUR, NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def source(project: Project) -> Allocation:
    """40 of 60 H100-hours."""
    first = makers.voucher_with_money(project).allocations.get()
    withdraw(first, 20)
    return first


@pytest.fixture
def target(source: Allocation) -> Allocation:
    """The other 20, of another project."""
    second = factories.project("Giọng nói", "giong-noi", of=source.voucher.organisation)
    return allocation_create(
        voucher=source.voucher,
        project=second,
        cluster="local",
        amount_gpu_seconds=20 * HOUR,
        starts_on=source.starts_on,
        ends_on=source.ends_on,
        actor="test",
    )


def withdraw(allocation: Allocation, hours: int) -> None:
    [row] = withdrawal_request(
        allocation_id=allocation.pk,
        kind="return",
        amount_gpu_seconds=hours * HOUR,
        reason="x",
        event_at=NOON,
        actor="test",
    )
    withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")


@pytest.fixture
def centre(client_of: Any, operator: User) -> Client:
    return english(client_of(operator))


def given(source: Allocation, target: Allocation, hours: int) -> dict[str, object]:
    return {"source": source.pk, "target": target.pk, "gpu_hours": hours, "reason": "sai dự án"}


def approve(client: Client, proposal: Proposal) -> str:
    return text(client.post(reverse("proposals:approve", args=[proposal.pk]), follow=True))


def free(*allocations: Allocation) -> tuple[int, ...]:
    return tuple(makers.balance(row).free // HOUR for row in allocations)


def test_a_move_takes_two_people_and_the_lower_limit(
    centre: Client, client_of: Any, source: Allocation, target: Allocation, approver: User
) -> None:
    voucher = source.voucher
    said = asked(centre, voucher, "propose-move", **given(source, target, 15))
    assert "Mô hình tiếng Việt has 15 H100 GPU-hours less, Giọng nói as much more." in said
    assert "another person must approve it" in said
    done(centre, voucher, "propose-move", **given(source, target, 15))
    proposal = Proposal.objects.get(kind="voucher_move")
    assert not Withdrawal.objects.filter(kind="move").exists()

    assert "You proposed this yourself" in approve(centre, proposal)
    second = english(client_of(approver))
    page = text(second.get(reverse("proposals:detail", args=[proposal.pk])))
    for words in (voucher.number, "Mô hình tiếng Việt on local, 40 GPU-hours free now", "Giọng nói on local", "15"):
        assert words in page
    assert "Approved and carried out." in approve(second, proposal)

    assert (free(source, target), makers.limit(source)) == ((25, 20), 25 * HOUR), "on its way, and nobody else's"
    confirm_all()
    assert (free(source, target), makers.limit(target)) == ((25, 35), 35 * HOUR)
    row = Withdrawal.objects.get(kind="move")
    assert (row.pk, row.requested_by, row.reason) == (proposal.pk, f"user:{approver.pk}", "sai dự án")
    assert ledger_findings(at=now()).ok


def test_the_database_itself_refuses_the_proposers_approval(
    centre: Client, source: Allocation, target: Allocation, operator: User
) -> None:
    done(centre, source.voucher, "propose-move", **given(source, target, 15))
    proposal = Proposal.objects.get(kind="voucher_move")
    with pytest.raises(IntegrityError, match="approval_another_person"), transaction.atomic():
        Approval.objects.create(proposal=proposal, proposed_by=operator, approver=operator, approved_at=now())
    with pytest.raises(IntegrityError, match="proposal_approvals"), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(state="carried_out", closed_at=now())


def test_what_was_spent_meanwhile_is_said_to_the_approver_and_nothing_moves(
    centre: Client, client_of: Any, source: Allocation, target: Allocation, approver: User
) -> None:
    done(centre, source.voucher, "propose-move", **given(source, target, 15))
    makers.hold(source, "1", 30 * HOUR)
    proposal = Proposal.objects.get(kind="voucher_move")
    assert "10 GPU-hours are free; this needs 15." in approve(english(client_of(approver)), proposal)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.approvals.count()) == ("waiting", 0)
    assert free(source, target) == (10, 20)


def test_a_target_that_was_closed_meanwhile_is_said_to_the_approver(
    centre: Client, client_of: Any, source: Allocation, target: Allocation, approver: User
) -> None:
    done(centre, source.voucher, "propose-move", **given(source, target, 15))
    Allocation.objects.filter(pk=target.pk).update(state="closed")
    proposal = Proposal.objects.get(kind="voucher_move")
    assert "the state is now “Closed”" in approve(english(client_of(approver)), proposal)
    assert not Withdrawal.objects.filter(kind="move").exists()


def test_who_is_bound_to_the_organisation_neither_proposes_nor_approves(
    centre: Client, client_of: Any, source: Allocation, target: Allocation, second_operator: User, approver: User
) -> None:
    done(centre, source.voucher, "propose-move", **given(source, target, 15))
    proposal = Proposal.objects.get(kind="voucher_move")
    factories.member(second_operator, source.voucher.organisation)
    assert "You are bound to the organisation" in approve(english(client_of(second_operator)), proposal)
    with pytest.raises(NotAllowed):
        proposed.move_propose(source=source, target=target, amount_gpu_seconds=1, reason="x", person=approver)
    assert free(source, target) == (40, 20)


def test_a_move_that_is_worth_more_than_the_programmes_limit_takes_three(
    centre: Client, client_of: Any, source: Allocation, target: Allocation, approver: User, second_operator: User
) -> None:
    programme = Voucher.objects.get().programme
    programme.three_person_above_vnd = 15 * 60_000 - 1
    programme.save()
    done(centre, source.voucher, "propose-move", **given(source, target, 15))
    proposal = Proposal.objects.get(kind="voucher_move")
    assert "Another person must approve it too." in approve(english(client_of(approver)), proposal)
    assert not Withdrawal.objects.filter(kind="move").exists()
    assert "Approved and carried out." in approve(english(client_of(second_operator)), proposal)
    confirm_all()
    assert free(source, target) == (25, 35)
