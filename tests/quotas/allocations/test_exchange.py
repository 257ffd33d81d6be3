"""A part of a voucher in another GPU type, at the ratio of the tariffs: what no project has at once, what a project has
after it was withdrawn."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.clock import centre_date, now
from portal.outbox.services import messages_deliver
from portal.people.models import Project, User
from quotas.allocations.models import Allocation, ChangeRequest, Voucher, Withdrawal
from quotas.allocations.services import withdrawal_cancel
from quotas.allocations.vouchers import voucher_balances
from quotas.ledger.selectors import balances
from quotas.ledger.verification import ledger_findings
from quotas.programmes.selectors import budget_of
from tests import factories
from tests.quotas import makers
from tests.quotas.allocations.asking import (
    approved,
    asked,
    confirm_all,
    done,
    english,
    mails_to,
    refused,
    text,
)
from tests.quotas.makers import HOUR, NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def voucher(project: Project) -> Voucher:
    """100 H100-hours at 60,000 VND, 60 of them with the project; an hour of H200 costs half as much again."""
    made = makers.voucher_with_money(project)
    makers.tariff("h200", 90_000)
    return made


@pytest.fixture
def allocation(voucher: Voucher) -> Allocation:
    return voucher.allocations.get()


@pytest.fixture
def manager(client_of: Any, organisation_manager: User) -> Client:
    return english(client_of(organisation_manager))


@pytest.fixture
def centre(client_of: Any, operator: User) -> Client:
    return english(client_of(operator))


def vnd(account_id: int | None) -> int:
    assert account_id is not None
    return balances([account_id])[account_id].posted


def given(hours: int) -> dict[str, object]:
    return {"kind": "gpu_type", "gpu_type": "h200", "gpu_hours": hours, "reason": "bộ nhớ"}


def exchange(manager: Client, centre: Client, voucher: Voucher, approver: User, hours: int) -> ChangeRequest:
    """Asked for, proposed, approved."""
    done(manager, voucher, "change", **given(hours))
    request = ChangeRequest.objects.get(state="waiting")
    done(centre, voucher, "propose-change", change=request.pk, reason="được")
    approved(approver)
    request.refresh_from_db()
    return request


def take_back(manager: Client, voucher: Voucher, allocation: Allocation, hours: int) -> None:
    done(manager, voucher, "take-back", source=allocation.pk, gpu_hours=hours, reason="x")
    confirm_all()


def test_what_no_project_has_is_exchanged_at_once(
    manager: Client, centre: Client, voucher: Voucher, allocation: Allocation, approver: User
) -> None:
    take_back(manager, voucher, allocation, 30)
    said = asked(manager, voucher, "change", **given(30))
    assert "30 H100 GPU-hours become 20 H200 GPU-hours" in said
    assert "less" not in said
    assert exchange(manager, centre, voucher, approver, 30).state == "applied"
    made = Voucher.objects.get(gpu_type="h200")
    assert (made.face_gpu_seconds, made.face_vnd, made.changed_from) == (20 * HOUR, 30 * 60_000, voucher)
    assert vnd(voucher.money_account_id) == 30 * 60_000


def test_what_a_project_has_is_withdrawn_first(
    manager: Client,
    centre: Client,
    voucher: Voucher,
    allocation: Allocation,
    approver: User,
    organisation_manager: User,
) -> None:
    free_before = budget_of(voucher.programme).free_vnd
    said = asked(manager, voucher, "change", **given(30))
    assert (
        "Mô hình tiếng Việt has 30 H100 GPU-hours less: they are exchanged once its limit in Slurm was lowered" in said
    )
    request = exchange(manager, centre, voucher, approver, 30)

    assert request.state == "approved"
    assert "Approved, on its way" in text(manager.get(reverse("vouchers:voucher", args=[voucher.number])))
    assert (makers.balance(allocation).free, makers.limit(allocation)) == (30 * HOUR, 30 * HOUR)
    assert not Voucher.objects.filter(gpu_type="h200").exists(), "nobody has it before the limit was read back"

    confirm_all()
    confirm_all()

    request.refresh_from_db()
    assert request.state == "applied"
    made = Voucher.objects.get(gpu_type="h200")
    assert (made.face_gpu_seconds, made.face_vnd, made.ends_on) == (20 * HOUR, 1_800_000, voucher.ends_on)
    assert makers.balance(made.allocations.get(project=allocation.project)).free == 20 * HOUR
    assert vnd(voucher.money_account_id) == 30 * 60_000
    assert voucher_balances([voucher])[voucher.pk].unallocated == 0
    assert budget_of(voucher.programme).free_vnd == free_before, "the exchange costs nobody anything"
    messages_deliver(queue="default")
    assert len(mails_to(organisation_manager)) == 1
    assert ledger_findings(at=now()).ok


def test_what_lies_in_both_is_taken_together(
    manager: Client, centre: Client, voucher: Voucher, allocation: Allocation, approver: User
) -> None:
    take_back(manager, voucher, allocation, 10)
    assert "has 20 H100 GPU-hours less" in asked(manager, voucher, "change", **given(30))
    exchange(manager, centre, voucher, approver, 30)
    refused(manager, voucher, "allocate", project=allocation.project_id, cluster="local", gpu_hours=10)
    confirm_all()
    assert Voucher.objects.get(gpu_type="h200").face_gpu_seconds == 20 * HOUR
    assert makers.balance(allocation).free == 30 * HOUR


def test_more_than_is_unspent_is_refused_with_the_figures(manager: Client, voucher: Voucher) -> None:
    assert "60 GPU-hours are free; this needs 61." in refused(manager, voucher, "change", **given(61))
    assert not ChangeRequest.objects.exists()


def test_where_several_projects_have_parts_a_manager_chooses(
    manager: Client, voucher: Voucher, allocation: Allocation
) -> None:
    take_back(manager, voucher, allocation, 20)
    second = factories.project("Giọng nói", "giong-noi", of=voucher.organisation)
    done(manager, voucher, "allocate", project=second.pk, cluster="local", gpu_hours="20")
    assert "take back first what is to be exchanged" in refused(manager, voucher, "change", **given(30))


def test_where_the_other_type_is_gone_meanwhile_the_hours_stay_in_the_voucher_and_the_managers_read_why(
    manager: Client,
    centre: Client,
    voucher: Voucher,
    allocation: Allocation,
    approver: User,
    organisation_manager: User,
) -> None:
    request = exchange(manager, centre, voucher, approver, 30)
    makers.award(allocation.project, voucher.programme, gpu_type="h200", gpu_seconds=981 * HOUR)
    confirm_all()

    request.refresh_from_db()
    assert request.state == "declined"
    assert "H200" in request.answer
    assert voucher_balances([voucher])[voucher.pk].unallocated == 30 * HOUR
    assert vnd(voucher.money_account_id) == 60 * 60_000
    messages_deliver(queue="default")
    assert len(mails_to(organisation_manager)) == 1
    assert ledger_findings(at=now()).ok


def test_what_is_not_there_now_is_not_approved(
    manager: Client, centre: Client, voucher: Voucher, allocation: Allocation, client_of: Any, approver: User
) -> None:
    makers.award(allocation.project, voucher.programme, gpu_type="h200", gpu_seconds=981 * HOUR)
    done(manager, voucher, "change", **given(30))
    request = ChangeRequest.objects.get()
    done(centre, voucher, "propose-change", change=request.pk, reason="được")
    assert request.state == "waiting"
    proposal = ChangeRequest.objects.get().proposal
    assert proposal is not None
    page = english(client_of(approver)).post(reverse("proposals:approve", args=[proposal.pk]), follow=True)
    assert "has 19 H200 GPU-hours left; this needs 20." in text(page)
    assert not Withdrawal.objects.exists()
    proposal.refresh_from_db()
    assert (proposal.state, proposal.approvals.count()) == ("waiting", 0)


def test_an_exchange_of_a_voucher_that_ended_meanwhile_is_not_made(
    manager: Client, centre: Client, voucher: Voucher, approver: User
) -> None:
    request = exchange(manager, centre, voucher, approver, 30)
    Voucher.objects.filter(pk=voucher.pk).update(ends_on=centre_date(now()) - timedelta(days=1))
    confirm_all()
    request.refresh_from_db()
    assert request.state == "declined"
    assert not Voucher.objects.filter(gpu_type="h200").exists()


def test_a_withdrawal_that_is_cancelled_ends_its_exchange(
    manager: Client, centre: Client, voucher: Voucher, allocation: Allocation, approver: User
) -> None:
    request = exchange(manager, centre, voucher, approver, 30)
    row = Withdrawal.objects.get()
    withdrawal_cancel(withdrawal_id=row.pk, reason="a mistake", event_at=NOON, actor="test")
    request.refresh_from_db()
    assert (request.state, request.answer) == ("declined", "a mistake")
    assert makers.balance(allocation).free == 60 * HOUR
