"""A voucher's page and verbs: who, what it will do before it does it, and what a second person must approve."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.clock import centre_date, now
from portal.outbox.services import messages_deliver
from portal.people.models import Project, User
from quotas.allocations import vouchers
from quotas.allocations.errors import CloseOutOpen, Invalid, TooManyVouchers, VoucherEnded
from quotas.allocations.models import (
    Allocation,
    ChangeRequest,
    CloseOut,
    ProgressReport,
    Refund,
    Tranche,
    Voucher,
    Withdrawal,
)
from quotas.allocations.services import allocation_create, ended_expire, proposed
from quotas.allocations.services.progress import tranche_decide
from quotas.allocations.services.warnings import warnings_write
from quotas.allocations.tasks import vouchers_follow
from quotas.ledger.selectors import balances
from quotas.ledger.verification import ledger_findings
from quotas.programmes.terms import Terms
from quotas.proposals.errors import CannotBeCarriedOut, ConflictOfInterest, SamePerson
from quotas.proposals.models import Proposal
from tests import factories
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas import makers
from tests.quotas.allocations.asking import approved, asked, confirm_all, done, english, mails_to, text
from tests.quotas.makers import HOUR, charge

pytestmark = pytest.mark.django_db


@pytest.fixture
def voucher(project: Project) -> Voucher:
    return makers.voucher_with_money(project)


@pytest.fixture
def allocation(voucher: Voucher) -> Allocation:
    return voucher.allocations.get()


@pytest.fixture
def manager(client_of: Any, organisation_manager: User) -> Client:
    return english(client_of(organisation_manager))


@pytest.fixture
def centre(client_of: Any, operator: User) -> Client:
    return english(client_of(operator))


def test_the_page_says_hours_money_shares_tranches_and_how_long_it_lasts(
    manager: Client, voucher: Voucher, allocation: Allocation
) -> None:
    Voucher.objects.update(starts_on=centre_date(now()) - timedelta(days=6))
    makers.charge(allocation, "1", 7 * HOUR)
    page = text(manager.get(reverse("vouchers:voucher", args=[voucher.number])))
    for words in ("6,000,000", "4,800,000", "1,200,000", "60,000", "with an accepted progress report", "burndown-used"):
        assert words in page


def test_lists_cost_the_same_for_any_number(manager: Client, centre: Client, project: Project, operator: User) -> None:
    of, organisation = makers.programme(), project.organisation

    def queries_with(count: int) -> list[int]:
        for number in range(count):
            voucher = makers.award(project, of, gpu_seconds=HOUR).voucher
            CloseOut.objects.create(
                voucher=voucher, state="closed", title=f"Result {number}", opened_at=now(), closed_at=now()
            )
        return [
            queries_of(manager, reverse("vouchers:list")),
            queries_of(centre, reverse("vouchers:list")),
            queries_of(manager, reverse("vouchers:organisation_card", args=[organisation.slug])),
            queries_of(Client(), reverse("vouchers:results")),
        ]

    few = queries_with(3)
    assert queries_with(17) == few
    assert max(few) <= QUERIES_MOST


def test_the_forecast_states_its_rate(voucher: Voucher) -> None:
    today = centre_date(now())
    voucher.starts_on = today - timedelta(days=9)
    balance = vouchers.voucher_balances([voucher])[voucher.pk]
    used = {today - timedelta(days=3): 20 * HOUR, today - timedelta(days=40): 5 * HOUR}
    forecast = vouchers.voucher_forecast(voucher, balance=balance, used=used)
    assert (forecast.rate_gpu_seconds_a_day, forecast.days) == (2 * HOUR, 10)
    assert forecast.until == today + timedelta(days=30), "60 hours at 2 a day"
    assert not forecast.beyond_end
    assert vouchers.voucher_forecast(voucher, balance=balance, used={}).until is None


def test_a_manager_takes_back_gives_to_a_project_and_moves(
    manager: Client, voucher: Voucher, allocation: Allocation
) -> None:
    second = factories.project("Giọng nói", "giong-noi", of=voucher.organisation)
    given = {"source": allocation.pk, "gpu_hours": "30", "reason": "cho dự án mới"}
    assert "30 H100 GPU-hours less" in asked(manager, voucher, "take-back", **given)
    assert not Withdrawal.objects.exists(), "nothing happens on the first click"
    done(manager, voucher, "take-back", **given)
    confirm_all()
    done(manager, voucher, "allocate", project=second.pk, cluster="local", gpu_hours="20")
    other = second.allocations.get()
    done(manager, voucher, "move", source=allocation.pk, target=other.pk, gpu_hours="5", reason="x")
    confirm_all()
    balance = vouchers.voucher_balances([voucher])[voucher.pk]
    assert (makers.balance(allocation).free, makers.balance(other).free) == (25 * HOUR, 25 * HOUR)
    assert (balance.unallocated, balance.remaining, balance.face) == (10 * HOUR, 60 * HOUR, 100 * HOUR)


def test_a_return_says_what_goes_back_and_gives_the_money_back(
    manager: Client, voucher: Voucher, allocation: Allocation
) -> None:
    done(manager, voucher, "take-back", source=allocation.pk, gpu_hours="10", reason="x")
    confirm_all()
    said = asked(manager, voucher, "return", gpu_hours="10", reason="không cần")
    assert "480,000 VND go back" in said
    assert "120,000 VND less" in said
    done(manager, voucher, "return", gpu_hours="10", reason="không cần")
    assert balances([voucher.money_account_id or 0])[voucher.money_account_id or 0].posted == 50 * 60_000
    refused = manager.post(
        reverse("vouchers:verb", args=[voucher.number, "return"]), {"gpu_hours": "1", "reason": "x", "confirmed": "1"}
    )
    assert refused.status_code == 422
    assert "0 GPU-hours are free" in text(refused)


def test_an_accepted_report_releases_its_tranche(
    manager: Client, centre: Client, voucher: Voucher, allocation: Allocation, organisation_manager: User
) -> None:
    tranche = Tranche.objects.get(needs_report=True)
    done(manager, voucher, "report", tranche=tranche.pk, text="Đã huấn luyện xong", links="https://example.vn/a")
    report = ProgressReport.objects.get()
    done(centre, voucher, "return-report", report=report.pk, answer="Thiếu số đo")
    done(manager, voucher, "report", tranche=tranche.pk, text="Đã huấn luyện xong, kèm số đo", links="")
    done(centre, voucher, "accept-report", report=ProgressReport.objects.get(state="waiting").pk, answer="")
    assert makers.balance(allocation).free == 100 * HOUR
    assert balances([voucher.money_account_id or 0])[voucher.money_account_id or 0].posted == 6_000_000
    messages_deliver(queue="default")
    assert len(mails_to(organisation_manager)) == 2


def test_a_link_that_is_no_address_is_refused_beside_its_field(manager: Client, voucher: Voucher) -> None:
    tranche = Tranche.objects.get(needs_report=True)
    url = reverse("vouchers:verb", args=[voucher.number, "report"])
    given = {"tranche": tranche.pk, "text": "x", "links": "javascript:alert(1)", "confirmed": "1"}
    response = manager.post(url, given)
    assert response.status_code == 422
    assert "begins with https://" in text(response)


def test_more_hours_cost_the_vouchers_tariff_after_two_people(
    manager: Client, centre: Client, voucher: Voucher, allocation: Allocation, approver: User, operator: User
) -> None:
    said = asked(manager, voucher, "change", kind="more", gpu_hours="7", reason="dữ liệu mới")
    assert "420,000 VND" in said
    done(manager, voucher, "change", kind="more", gpu_hours="7", reason="dữ liệu mới")
    done(centre, voucher, "propose-change", change=ChangeRequest.objects.get().pk, reason="hợp lý")
    with pytest.raises(SamePerson):
        approved(operator)
    approved(approver)
    voucher.refresh_from_db()
    assert (voucher.face_gpu_seconds, voucher.face_vnd) == (107 * HOUR, 107 * 60_000)
    assert (voucher.state_share_vnd or 0) + (voucher.own_share_vnd or 0) == voucher.face_vnd
    assert makers.balance(allocation).free == 67 * HOUR
    assert ChangeRequest.objects.get().state == "applied"
    assert ledger_findings(at=now()).ok


def test_a_later_end_moves_the_allocations_that_end_with_it(
    manager: Client, centre: Client, voucher: Voucher, approver: User
) -> None:
    Allocation.objects.update(ends_on=voucher.ends_on)
    done(manager, voucher, "change", kind="longer", ends_on="2099-03-01", reason="chậm")
    done(centre, voucher, "propose-change", change=ChangeRequest.objects.get().pk, reason="được")
    approved(approver)
    assert Voucher.objects.get().ends_on == Allocation.objects.get().ends_on == date(2099, 3, 1)


def test_a_change_that_nobody_can_pay_is_not_carried_out(
    manager: Client, centre: Client, voucher: Voucher, approver: User
) -> None:
    done(manager, voucher, "change", kind="more", gpu_hours="901", reason="x")
    done(centre, voucher, "propose-change", change=ChangeRequest.objects.get().pk, reason="x")
    with pytest.raises(CannotBeCarriedOut, match="H100"):
        approved(approver)
    assert ChangeRequest.objects.get().state == "waiting"
    assert Voucher.objects.get().face_gpu_seconds == 100 * HOUR


def test_an_operator_of_the_organisation_has_no_part(
    client_of: Any, voucher: Voucher, operator: User, allocation: Allocation
) -> None:
    factories.member(operator, voucher.organisation)
    response = english(client_of(operator)).post(
        reverse("vouchers:verb", args=[voucher.number, "propose-clawback"]),
        {"percent": "50", "reason": "x", "confirmed": "1"},
    )
    assert response.status_code == 422
    assert not Proposal.objects.filter(kind="clawback").exists()
    tranche = Tranche.objects.get(needs_report=True)
    with pytest.raises(ConflictOfInterest):
        tranche_decide(tranche_id=tranche.pk, is_released=True, person=operator)
    with pytest.raises(ConflictOfInterest):
        proposed.clawback_propose(voucher=voucher, basis_points=1, reason="x", person=operator)


def test_a_clawback_a_move_a_refund_and_its_correction_take_two_people(
    centre: Client, voucher: Voucher, allocation: Allocation, approver: User
) -> None:
    charge(allocation, "1", 10 * HOUR)
    done(
        centre,
        voucher,
        "propose-refund",
        allocation=allocation.pk,
        charge=makers.named("charge 1"),
        gpu_hours="6",
        reason="nút hỏng",
    )
    approved(approver)
    assert makers.balance(allocation).consumed == 4 * HOUR
    refund = Refund.objects.get()
    done(centre, voucher, "propose-correction", refund=refund.pk, gpu_hours="2", reason="nhầm")
    approved(approver)
    assert (makers.balance(allocation).consumed, makers.limit(allocation)) == (6 * HOUR, 64 * HOUR)
    done(centre, voucher, "propose-clawback", percent="50", reason="không dùng")
    approved(approver)
    confirm_all()
    assert makers.balance(allocation).free == 27 * HOUR
    assert ledger_findings(at=now()).ok


def test_a_failed_nodes_refund_is_proposed_once(allocation: Allocation, operator: User) -> None:
    charge(allocation, "1", HOUR)
    terms = {
        "allocation_id": allocation.pk,
        "charge_id": makers.named("charge 1"),
        "amount_gpu_seconds": HOUR,
        "reason": "NODE_FAIL",
        "process": "worker:cluster.local",
    }
    made = proposed.refund_propose_for_failed_node(**terms)  # type: ignore[arg-type]
    assert made is not None
    assert proposed.refund_propose_for_failed_node(**terms) is None  # type: ignore[arg-type]
    assert makers.balance(allocation).consumed == HOUR, "nothing before an operator confirms"
    approved(operator)
    assert makers.balance(allocation).consumed == 0


def test_warnings_are_mailed_once_each(voucher: Voucher, allocation: Allocation, organisation_manager: User) -> None:
    today = centre_date(now())
    charge(allocation, "1", 46 * HOUR)
    Voucher.objects.update(ends_on=today + timedelta(days=7))
    assert (warnings_write(), warnings_write()) == (1, 1)
    messages_deliver(queue="default")
    subjects = mails_to(organisation_manager)
    assert len(subjects) == 2
    assert "75" in subjects[0]
    assert "7" in subjects[1]
    charge(allocation, "2", 9 * HOUR)
    warnings_write()
    messages_deliver(queue="default")
    assert len(mails_to(organisation_manager)) == 3


def test_close_out_from_the_end_to_the_public_page(
    manager: Client, centre: Client, client: Client, voucher: Voucher, project: Project
) -> None:
    yesterday = centre_date(now()) - timedelta(days=1)
    Voucher.objects.update(ends_on=yesterday)
    Allocation.objects.update(ends_on=yesterday)
    ended_expire(actor="test")
    confirm_all()
    vouchers_follow()
    vouchers_follow()
    assert CloseOut.objects.get().state == "open"
    with pytest.raises(CloseOutOpen):
        makers.award(project, makers.programme("other"))
    report = {"title": "Sao Mai 7B", "summary": "Mô hình mở", "model_link": "https://example.vn/model"}
    done(manager, voucher, "close-out", **report)
    assert client.get(reverse("vouchers:result", args=[voucher.number])).status_code == 404, "not before it is checked"
    found = {f"{name}_met": "yes" for name in voucher.commitments} | dict.fromkeys(voucher.commitments, "đã xem")
    done(centre, voucher, "check-commitments", **(found | {"data_licensed_met": "no"}))
    page = text(english(client).get(reverse("vouchers:result", args=[voucher.number])))
    assert "Sao Mai 7B" in page
    assert page.count("Not met") == 1
    assert "Sao Mai 7B" in text(client.get(reverse("vouchers:results")))
    makers.award(project, makers.programme("another"))


def test_the_programmes_rules_bound_the_next_award(project: Project) -> None:
    of = makers.programme(terms=Terms(shares=makers.SHARES, open_vouchers_limit=1))
    makers.award(project, of)
    with pytest.raises(TooManyVouchers):
        makers.award(project, of)


def test_an_ended_voucher_is_given_to_no_project(voucher: Voucher, project: Project) -> None:
    voucher.ends_on = centre_date(now()) - timedelta(days=1)
    with pytest.raises(VoucherEnded):
        allocation_create(
            voucher=voucher,
            project=project,
            cluster="local",
            amount_gpu_seconds=1,
            starts_on=voucher.starts_on,
            ends_on=voucher.ends_on,
            actor="test",
        )


def test_a_change_without_its_figure_is_refused_beside_the_field(voucher: Voucher, organisation_manager: User) -> None:
    from quotas.allocations.services.changes import change_request

    with pytest.raises(Invalid) as refused:
        change_request(voucher=voucher, kind="longer", reason="x", person=organisation_manager)
    assert refused.value.field == "ends_on"
