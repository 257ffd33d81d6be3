"""Balance moves to another cluster: in two halves, in one place at every moment, and back until it has arrived."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import translation
from pytest_django.fixtures import Settings

from portal.clock import centre_date, now
from portal.outbox.models import Message
from portal.people.models import Project, User
from quotas.allocations.errors import (
    BalanceTooSmall,
    ClusterClosed,
    Invalid,
    OtherVoucher,
    TariffsDiffer,
    WrongState,
)
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services import (
    allocation_close,
    allocation_create,
    cluster_move,
    correction_book,
    move_arrive,
    move_cancel,
    move_raised,
    withdrawal_cancel,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.allocations.statements import organisation_balances
from quotas.allocations.vouchers import voucher_balances
from quotas.clusters import Known, registry
from quotas.ledger.verification import ledger_findings
from quotas.proposals.errors import ConflictOfInterest, NotAllowed
from quotas.proposals.models import Proposal
from tests import factories
from tests.quotas import makers
from tests.quotas.allocations.asking import asked, done, english, refused, text
from tests.quotas.allocations.oracle import balances_by_the_log, limits_by_the_log
from tests.quotas.makers import HOUR, NOON

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_clusters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CLUSTERS = ["local", "south"]
    known = {"local": Known("Cụm Bắc", True), "south": Known("Cụm Nam", True), "old": Known("Cụm cũ", False)}
    monkeypatch.setattr(registry, "known", lambda: known)


@pytest.fixture
def source(project: Project) -> Allocation:
    """60 H100-hours on the first cluster, of a voucher with money."""
    return makers.voucher_with_money(project).allocations.get()


def begin(source: Allocation, hours: int = 20, **changes: Any) -> Withdrawal:
    wanted = {"cluster": "south", "amount_gpu_seconds": hours * HOUR, "reason": "nhanh hơn", "actor": "test"}
    return cluster_move(source_id=source.pk, **(wanted | changes))


def depart(row: Withdrawal) -> bool:
    return withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")


def arrive(row: Withdrawal) -> bool:
    return move_arrive(withdrawal_id=row.pk, event_at=NOON, actor="test")


def places(row: Withdrawal) -> tuple[int, int, int]:
    """GPU-hours that can be spent: on the source, between, on the target; and every figure is what the log says."""
    row.refresh_from_db()
    source, target = row.allocation, row.target
    assert target is not None
    voucher = voucher_balances([source.voucher])[source.voucher_id]
    assert ledger_findings(at=now()).ok
    for one in (source, target):
        assert makers.limit(one) == limits_by_the_log()[one.qos].allowed
    log, balance = balances_by_the_log(source.voucher.organisation), organisation_balances(source.voucher.organisation)
    assert balance["h100"].withdrawals_pending == log["h100", "withdrawals_pending"]
    assert balance["h100"].remaining == log["h100", "remaining"]
    assert voucher.remaining == 60 * HOUR
    return makers.balance(source).free // HOUR, voucher.moving // HOUR, makers.balance(target).free // HOUR


def queues() -> list[tuple[str, str]]:
    return list(Message.objects.filter(topic__startswith="moves.").order_by("pk").values_list("topic", "queue"))


def test_it_goes_in_two_halves_and_each_worker_is_asked_in_turn(source: Allocation) -> None:
    row = begin(source)
    assert (places(row), row.state) == ((40, 0, 0), "requested")
    assert (makers.limit(source), makers.limit(row.target)) == (40 * HOUR, 0), "nobody's until the limit was read back"
    assert queues() == [("moves.lower", "cluster.local")]
    with pytest.raises(WrongState):
        arrive(row)

    assert depart(row)
    assert (places(row), row.state) == ((40, 20, 0), "moving")
    assert queues()[1:] == [("moves.raise", "cluster.south")]
    with pytest.raises(BalanceTooSmall):
        makers.hold(row.target, "too early", 1)
    with pytest.raises(BalanceTooSmall):  # nor is it the voucher's to give
        allocation_create(
            voucher=source.voucher,
            project=source.project,
            cluster="local",
            amount_gpu_seconds=1,
            starts_on=source.starts_on,
            ends_on=source.ends_on,
            actor="test",
        )

    assert arrive(row)
    assert (places(row), row.state, row.raised_at) == ((40, 0, 20), "confirmed", None)
    assert makers.limit(row.target) == 20 * HOUR
    move_raised(withdrawal_id=row.pk)
    row.refresh_from_db()
    assert row.raised_at is not None
    assert (row.target.project, row.target.cluster, row.target.gpu_type) == (source.project, "south", "h100")


def test_a_record_that_grew_outranks_what_has_not_left(source: Allocation) -> None:
    makers.charge(source, "1", 20 * HOUR)
    left, waiting, youngest = begin(source, 10), begin(source, 10), begin(source, 15)
    depart(left)

    def grow(hours: int, revision: int) -> int:
        grown = correction_book(
            allocation_id=source.pk,
            record_charge_id=makers.named("charge 1"),
            revision=revision,
            difference_gpu_seconds=hours * HOUR,
            event_at=NOON,
            reason="the record changed",
            actor="test",
        )
        for row in (left, waiting, youngest):
            row.refresh_from_db()
        assert ledger_findings(at=now()).ok
        assert makers.limit(source) == limits_by_the_log()[source.qos].allowed
        return grown.overrun_difference // HOUR

    assert [grow(8, 1), grow(8, 1)] == [0, 0]
    assert [row.state for row in (left, waiting, youngest)] == ["moving", "requested", "cancelled"]
    assert makers.balance(source).free == 12 * HOUR
    assert grow(30, 2) == 8, "what has left is lent for, and so is nothing else"
    assert [row.state for row in (left, waiting)] == ["moving", "cancelled"]
    assert (makers.balance(source).free, makers.balance(source).consumed) == (0, 58 * HOUR)
    assert arrive(left)


def test_every_step_again_changes_nothing(source: Allocation) -> None:
    row = begin(source, withdrawal_id=makers.named("move"))
    assert begin(source, withdrawal_id=makers.named("move")) == row
    assert [depart(row), depart(row)] == [True, False]
    assert [arrive(row), arrive(row), depart(row)] == [True, False, False]
    before = makers.transfers()
    for _ in range(2):
        move_raised(withdrawal_id=row.pk)
    assert (places(row), makers.transfers(), len(queues())) == ((40, 0, 20), before, 2)
    assert source.voucher.allocations.count() == 2


@pytest.mark.parametrize("half", [0, 1])
def test_until_it_has_arrived_it_goes_back_whole(source: Allocation, half: int) -> None:
    row = begin(source)
    if half:
        depart(row)
    for _ in range(2):
        withdrawal_cancel(withdrawal_id=row.pk, reason="anders", event_at=NOON, actor="test")
    assert (places(row), row.state, makers.limit(source)) == ((60, 0, 0), "cancelled", 60 * HOUR)
    with pytest.raises(WrongState):
        arrive(row)
    assert row.target.state == Allocation.State.CLOSED, "it was made for this move, and never held anything"
    again = begin(source)
    assert again.target != row.target


def test_what_has_arrived_takes_another_move(source: Allocation) -> None:
    row = begin(source)
    depart(row)
    arrive(row)
    with pytest.raises(WrongState):
        withdrawal_cancel(withdrawal_id=row.pk, reason="x", event_at=NOON, actor="test")
    back = begin(row.target, 20, cluster="local")
    assert back.target == source
    depart(back)
    arrive(back)
    assert makers.balance(source).free == 60 * HOUR


def test_what_jobs_hold_does_not_move(source: Allocation) -> None:
    makers.hold(source, "1", 50 * HOUR)
    with pytest.raises(BalanceTooSmall):
        begin(source, 11)
    assert not Allocation.objects.filter(cluster="south").exists(), "nothing was made for a move that was refused"
    begin(source, 10)


def test_an_end_that_ends_meanwhile_takes_it_along(source: Allocation) -> None:
    row = begin(source)
    depart(row)
    allocation_close(allocation_id=row.target_id, reason="x", actor="test")
    arrive(row)
    left = Withdrawal.objects.get(allocation=row.target)
    assert (left.kind, left.amount_gpu_seconds, left.is_between_clusters) == ("return", 20 * HOUR, False)

    other = begin(source, 5)
    depart(other)
    allocation_close(allocation_id=source.pk, reason="x", actor="test")
    withdrawal_cancel(withdrawal_id=other.pk, reason="x", event_at=NOON, actor="test")
    assert sum(Withdrawal.objects.filter(allocation=source, kind="return").values_list("amount_gpu_seconds", flat=True))
    assert makers.balance(source).free == 0


# --- the price ------------------------------------------------------------------------------------------------------


def test_another_tariff_there_refuses_it_and_says_both(source: Allocation) -> None:
    tomorrow = centre_date(now()) + timedelta(days=1)
    makers.tariff("h100", 75_000, valid_from=tomorrow, cluster="south")
    begin(source, 1)  # today both have the same
    with time_machine.travel(f"{tomorrow}T05:00:00+00:00", tick=False), translation.override("en"):
        words = "costs 60,000 VND on Cụm Bắc and 75,000 VND on Cụm Nam"
        with pytest.raises(TariffsDiffer, match=words):
            begin(source, 1)
        with pytest.raises(TariffsDiffer, match=words):  # taking back and giving anew is no way around it
            _take_back_and_give(source)


def test_a_voucher_without_money_has_no_price_to_keep(project: Project) -> None:
    source = makers.award(project, makers.programme())
    makers.tariff("h100", 75_000, cluster="south")
    makers.tariff("h100", 60_000, cluster="local")
    assert begin(source).state == "requested"


def test_another_voucher_another_cluster_or_the_same_is_refused(source: Allocation, project: Project) -> None:
    other = makers.award(project, makers.programme(h200_hours=100), gpu_type="h200")
    with pytest.raises(OtherVoucher):
        withdrawal_request(
            allocation_id=source.pk,
            kind="move",
            amount_gpu_seconds=1,
            reason="x",
            event_at=NOON,
            actor="test",
            target_id=other.pk,
        )
    with pytest.raises(Invalid):
        begin(source, cluster="local")
    with pytest.raises(ClusterClosed, match="Cụm cũ"):
        begin(source, cluster="old")


# --- people ---------------------------------------------------------------------------------------------------------


def test_a_manager_moves_it_reads_where_it_stands_and_takes_it_back(
    client_of: Any, source: Allocation, organisation_manager: User, researcher: User
) -> None:
    window, voucher = english(client_of(organisation_manager)), source.voucher
    given = {"source": source.pk, "cluster": "south", "gpu_hours": 20, "reason": "nhanh hơn"}
    said = asked(window, voucher, "move-cluster", **given)
    assert "Mô hình tiếng Việt has 20 H100 GPU-hours less on Cụm Bắc, as much more on Cụm Nam." in said
    assert "a GPU-hour stays a GPU-hour, at the voucher&#x27;s own 60,000 VND" in said
    done(window, voucher, "move-cluster", **given)
    row = Withdrawal.objects.get(kind="move")
    page = reverse("allocations:detail", args=[source.pk])
    assert "Limit being lowered" in text(window.get(page))
    depart(row)
    for person, may in ((organisation_manager, True), (researcher, False)):
        shown = text(english(client_of(person)).get(page))
        assert "Between the clusters" in shown
        assert ("Take back" in shown.replace('<span class="visually-hidden">Take back</span>', "")) == may
    answer = window.post(reverse("allocations:move_cancel", args=[row.pk]), {"reason": "x"}, follow=True)
    assert "it is in the first allocation again" in text(answer)
    assert places(row) == (60, 0, 0)
    late = window.post(reverse("allocations:move_cancel", args=[row.pk]), {"reason": "x"}, follow=True)
    assert "was taken back" in text(late)


def test_the_centres_own_move_takes_two_people_and_is_the_centres_to_take_back(
    client_of: Any,
    source: Allocation,
    operator: User,
    approver: User,
    organisation_manager: User,
    second_operator: User,
) -> None:
    centre, voucher = english(client_of(operator)), source.voucher
    given = {"source": source.pk, "cluster": "south", "gpu_hours": 15, "reason": "bảo trì"}
    assert "another person must approve it" in asked(centre, voucher, "propose-move-cluster", **given)
    done(centre, voucher, "propose-move-cluster", **given)
    proposal = Proposal.objects.get(kind="cluster_move")
    assert not Withdrawal.objects.filter(kind="move").exists()
    second: Client = english(client_of(approver))
    page = text(second.get(reverse("proposals:detail", args=[proposal.pk])))
    for words in ("Mô hình tiếng Việt on Cụm Bắc, 60 GPU-hours free now", "Cụm Nam", "900,000 VND", "Price rule"):
        assert words in page
    second.post(reverse("proposals:approve", args=[proposal.pk]))
    row = Withdrawal.objects.get(kind="move")
    assert (row.pk, row.requested_by) == (proposal.pk, f"user:{approver.pk}")
    for person, refusal in ((organisation_manager, NotAllowed), (approver, NotAllowed)):
        with pytest.raises(refusal):
            move_cancel(row=row, reason="x", person=person)
    factories.member(second_operator, voucher.organisation)
    with pytest.raises(ConflictOfInterest):
        move_cancel(row=row, reason="x", person=second_operator)
    move_cancel(row=row, reason="x", person=operator)
    assert places(row) == (60, 0, 0)


def test_a_form_says_why_not(client_of: Any, source: Allocation, organisation_manager: User) -> None:
    window = english(client_of(organisation_manager))
    given = {"source": source.pk, "cluster": "local", "gpu_hours": 1, "reason": "x"}
    assert "Choose another cluster" in refused(window, source.voucher, "move-cluster", **given)


def test_one_cluster_offers_no_other(
    client_of: Any, source: Allocation, organisation_manager: User, settings: Settings
) -> None:
    address = reverse("vouchers:voucher", args=[source.voucher.number])
    assert "move-cluster" in text(client_of(organisation_manager).get(address))
    settings.CLUSTERS = ["local"]
    assert "move-cluster" not in text(client_of(organisation_manager).get(address))


# --- parts ----------------------------------------------------------------------------------------------------------


def _take_back_and_give(source: Allocation) -> None:
    [row] = withdrawal_request(
        allocation_id=source.pk, kind="return", amount_gpu_seconds=HOUR, reason="x", event_at=now(), actor="test"
    )
    withdrawal_confirm(withdrawal_id=row.pk, event_at=now(), actor="test")
    allocation_create(
        voucher=source.voucher,
        project=source.project,
        cluster="south",
        amount_gpu_seconds=HOUR,
        starts_on=source.starts_on,
        ends_on=source.ends_on,
        actor="test",
    )
