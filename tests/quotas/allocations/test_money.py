"""A voucher's money: awarded, released, given back, in the same batches as its GPU-seconds, exact to the VND."""

import os
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from portal.clock import centre_date, now
from portal.people.models import Organisation, Project
from quotas.allocations.errors import BalanceTooSmall, MoneyTooSmall, NotEligible, QuotaError, WrongState
from quotas.allocations.models import Allocation, Tranche, Voucher, Withdrawal
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services import (
    TranchePlan,
    allocation_expire,
    clawbacks_due,
    ended_expire,
    tranche_lose,
    tranche_release,
    tranches_due_release,
    voucher_award,
    voucher_clawback,
    voucher_return,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.allocations.services.money import kept_gpu_seconds, price_of_voucher
from quotas.ledger.models import Account, Transfer
from quotas.ledger.selectors import balances
from quotas.ledger.verification import ledger_findings
from quotas.programmes.models import Programme
from quotas.programmes.selectors import budget_of
from quotas.programmes.services import programme_create
from quotas.programmes.terms import Terms
from tests import factories
from tests.quotas import makers
from tests.quotas.makers import HOUR, NOON, charge

pytestmark = pytest.mark.django_db
BUDGET = 100_000_000


@pytest.fixture
def funded(db: None) -> Programme:
    """1,000 H100-hours and 100 million VND, at 60,001 VND an hour; the state pays 80 % for a startup."""
    makers.tariff("h100", 60_001)
    return makers.programme(vnd=BUDGET)


def vnd(account_id: int | None) -> int:
    assert account_id is not None
    return balances([account_id])[account_id].posted


def confirm_all() -> None:
    for row in Withdrawal.objects.filter(state="requested"):
        withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")


def test_an_award_books_its_money_in_the_same_batch(project: Project, funded: Programme) -> None:
    voucher = makers.award(project, funded).voucher
    assert voucher.number == f"PHT-{centre_date(now()).year}-00001"
    assert (voucher.face_vnd, voucher.state_share_vnd, voucher.own_share_vnd) == (6_000_100, 4_800_080, 1_200_020)
    assert vnd(voucher.money_account_id) == 6_000_100
    assert vnd(voucher.contribution_account_id) == -1_200_020
    assert budget_of(funded).free_vnd == BUDGET - 4_800_080
    batch = Transfer.objects.get(credit=voucher.account_id).batch
    assert Transfer.objects.filter(batch=batch).count() == 4
    assert makers.award(project, funded).voucher.number.endswith("-00002")


def test_the_tariff_is_that_of_the_day_of_the_award(project: Project, funded: Programme) -> None:
    before = makers.award(project, funded, gpu_seconds=HOUR).voucher
    makers.tariff("h100", 99_000, valid_from=centre_date(now()) + timedelta(days=1))
    after = makers.award(project, funded, gpu_seconds=HOUR).voucher
    assert before.face_vnd == after.face_vnd == 60_001


def test_a_number_bears_the_year_of_the_centre_not_of_utc(project: Project) -> None:
    of = makers.programme()
    with time_machine.travel(datetime(2026, 12, 31, 16, 59, tzinfo=UTC), tick=False):
        before = makers.award(project, of, gpu_seconds=1).voucher
    with time_machine.travel(datetime(2026, 12, 31, 17, 0, tzinfo=UTC), tick=False):
        after = makers.award(project, of, gpu_seconds=1).voucher
    assert (before.number, after.number) == ("PHT-2026-00001", "PHT-2027-00001")


def test_an_award_above_the_money_budget_makes_nothing_and_says_the_figures(project: Project) -> None:
    makers.tariff("h100", 60_000)
    small = makers.programme(vnd=1_000_000)
    with pytest.raises(MoneyTooSmall) as refused:
        makers.award(project, small)
    assert (refused.value.free_vnd, refused.value.needed_vnd) == (1_000_000, 4_800_000)
    assert not Voucher.objects.exists()


def test_a_kind_of_organisation_without_a_share_gets_nothing(project: Project) -> None:
    makers.tariff("h100", 60_000)
    with pytest.raises(NotEligible):
        makers.award(project, makers.programme(vnd=BUDGET, terms=Terms(shares={"sme": 5_000})))


def test_a_programme_without_money_awards_gpu_hours_alone(project: Project) -> None:
    voucher = makers.award(project, makers.programme()).voucher
    assert (voucher.has_money, voucher.face_vnd) == (False, None)


def tranched(project: Project, of: Programme, *plans: TranchePlan) -> Allocation:
    return voucher_award(
        organisation=project.organisation,
        project=project,
        programme=of,
        gpu_type="h100",
        amount_gpu_seconds=sum(plan.amount_gpu_seconds for plan in plans),
        cluster="local",
        starts_on=date(2026, 1, 1),
        ends_on=date(2099, 12, 31),
        actor="test",
        tranches=plans,
    )


def test_tranches_hold_money_and_hours_alike_and_add_up_to_the_face_value(project: Project, funded: Programme) -> None:
    today = centre_date(now())
    plans = [TranchePlan(7, today), TranchePlan(11, today + timedelta(days=1)), TranchePlan(13, needs_report=True)]
    allocation = tranched(project, funded, *plans)
    voucher = allocation.voucher
    rows = list(Tranche.objects.all())
    assert [row.state for row in rows] == ["released", "pending", "pending"], "what is due today is there at once"
    assert sum(row.state_vnd for row in rows) == voucher.state_share_vnd
    assert sum(row.own_vnd for row in rows) == voucher.own_share_vnd
    assert budget_of(funded).free_vnd == BUDGET - (voucher.state_share_vnd or 0)
    assert vnd(voucher.money_account_id) == rows[0].amount_vnd
    assert tranches_due_release(actor="test") == 0
    tranche_release(tranche_id=rows[1].pk, actor="test")
    assert makers.balance(allocation).free == 18, "to the only active allocation"
    assert vnd(voucher.money_account_id) == rows[0].amount_vnd + rows[1].amount_vnd
    tranche_lose(tranche_id=rows[2].pk, reason="no report", actor="test")
    assert budget_of(funded).free_vnd == BUDGET - rows[0].state_vnd - rows[1].state_vnd
    assert vnd(voucher.contribution_account_id) == -rows[0].own_vnd - rows[1].own_vnd


def test_a_dated_tranche_is_released_once_on_its_day(project: Project, funded: Programme) -> None:
    allocation = tranched(project, funded, TranchePlan(100, centre_date(now()) + timedelta(days=1)))
    Tranche.objects.update(release_on=centre_date(now()))
    assert (tranches_due_release(actor="test"), tranches_due_release(actor="test")) == (1, 0)
    assert makers.balance(allocation).free == 100


def test_what_expires_gives_its_money_back_in_proportion(project: Project, funded: Programme) -> None:
    allocation = makers.award(project, funded, gpu_seconds=100 * HOUR)
    charge(allocation, "1", 25 * HOUR)
    allocation_expire(allocation_id=allocation.pk, actor="test")
    confirm_all()
    voucher = allocation.voucher
    assert vnd(voucher.money_account_id) == 1_500_025, "what was used stays, for the statement"
    assert vnd(voucher.contribution_account_id) == -300_005
    assert budget_of(funded).free_vnd == BUDGET - 1_200_020


def test_a_return_gives_back_what_is_not_allocated(project: Project, funded: Programme) -> None:
    allocation = makers.award(project, funded, gpu_seconds=100 * HOUR)
    voucher = allocation.voucher
    with pytest.raises(BalanceTooSmall):
        voucher_return(voucher_id=voucher.pk, amount_gpu_seconds=HOUR, reason="too much", actor="test")
    withdrawal_request(
        allocation_id=allocation.pk,
        kind="return",
        amount_gpu_seconds=40 * HOUR,
        reason="not needed",
        event_at=NOON,
        actor="test",
    )
    confirm_all()
    assert vnd(voucher.money_account_id) == 6_000_100, "what comes back to the voucher is still the organisation's"
    voucher_return(voucher_id=voucher.pk, amount_gpu_seconds=40 * HOUR, reason="too much", actor="test")
    assert (vnd(voucher.money_account_id), vnd(voucher.contribution_account_id)) == (3_600_060, -720_012)


def test_a_clawback_takes_its_share_once_on_its_day(project: Project) -> None:
    makers.tariff("h100", 60_001)
    on = centre_date(now()) + timedelta(days=1)
    of = makers.programme(vnd=BUDGET, terms=Terms(shares=makers.SHARES, clawback_on=on, clawback_basis_points=5_000))
    allocation = makers.award(project, of)
    charge(allocation, "1", 20 * HOUR)
    makers.hold(allocation, "2", 60 * HOUR)
    assert clawbacks_due(actor="test") == 0
    with time_machine.travel(now() + timedelta(days=1), tick=False):
        assert makers.award(project, of, gpu_seconds=HOUR).voucher.clawback_on is None, "nobody had time to spend it"
        assert (clawbacks_due(actor="test"), clawbacks_due(actor="test")) == (1, 0)
    states = dict(Withdrawal.objects.values_list("state", "amount_gpu_seconds"))
    assert states == {"requested": 20 * HOUR, "waiting": 20 * HOUR}, "half of 80; the rest follows the job"
    confirm_all()
    assert vnd(allocation.voucher.money_account_id) == 80 * 60_001


def test_an_ended_voucher_keeps_the_money_of_what_was_used_and_nothing_else(
    project: Project, funded: Programme
) -> None:
    allocation = tranched(project, funded, TranchePlan(60 * HOUR, date(2026, 1, 1)), TranchePlan(40 * HOUR))
    charge(allocation, "1", 12_345)
    yesterday = centre_date(now()) - timedelta(days=1)
    Voucher.objects.update(ends_on=yesterday)
    Allocation.objects.update(ends_on=yesterday)
    ended_expire(actor="test")
    confirm_all()
    ended_expire(actor="test")
    voucher = allocation.voucher
    state, own = price_of_voucher(voucher).shares(12_345)
    assert vnd(voucher.money_account_id) == state + own
    assert vnd(voucher.contribution_account_id) == -own
    assert budget_of(funded).free_vnd == BUDGET - state


class Money(RuleBasedStateMachine):
    """One voucher in three tranches; odd tariffs and tiny amounts, so that every booking has something to round."""

    number = 0

    @initialize(share=st.sampled_from([0, 1, 3_333, 5_000, 6_667, 9_999, 10_000]), first=st.integers(1, 998))
    def begin(self, share: int, first: int) -> None:
        Money.number += 1
        slug = f"money-{Money.number}"
        organisation = factories.organisation(slug, slug, kind=Organisation.Kind.SME)
        project = factories.project(slug, f"{slug}-p", of=organisation)
        self.programme = programme_create(
            name=slug,
            slug=slug,
            starts_on=date(2026, 1, 1),
            ends_on=date(2099, 1, 1),
            budgets={"h100": 1_000},
            budget_vnd=1_000_000,
            terms=Terms(shares={"sme": share}),
            actor="test",
        )
        self.first = tranched(
            project, self.programme, TranchePlan(first, date(2026, 1, 1)), TranchePlan(1), TranchePlan(999 - first)
        )
        self.voucher = self.first.voucher
        self.released_in_order = True
        self.charges = 0

    @rule(which=st.integers(0, 2), lose=st.booleans())
    def tranche(self, which: int, lose: bool) -> None:
        row = list(self.voucher.tranches.all())[which]
        with suppress(WrongState):
            if lose:
                tranche_lose(tranche_id=row.pk, reason="lost", actor="test")
            else:
                tranche_release(tranche_id=row.pk, actor="test")
            if which == 2 or lose:
                self.released_in_order = False
        if self.spent_before_the_last():
            self.released_in_order = False

    def spent_before_the_last(self) -> bool:
        gone = self.voucher.face_gpu_seconds - kept_gpu_seconds(self.voucher)
        pending = self.voucher.tranches.exclude(state="released")
        return gone > sum(pending.values_list("amount_gpu_seconds", flat=True))

    @rule(amount=st.integers(1, 400))
    def charge(self, amount: int) -> None:
        self.charges += 1
        charge(self.first, f"money {Money.number} {self.charges}", amount)

    @rule(amount=st.integers(1, 300), kind=st.sampled_from(["return", "clawback"]), confirm=st.booleans())
    def withdraw(self, amount: int, kind: str, confirm: bool) -> None:
        with suppress(QuotaError):
            withdrawal_request(
                allocation_id=self.first.pk,
                kind=kind,
                amount_gpu_seconds=amount,
                reason="",
                event_at=NOON,
                actor="test",
            )
        if confirm:
            self.confirm()

    @rule()
    def confirm(self) -> None:
        for row in Withdrawal.objects.filter(allocation=self.first, state="requested"):
            withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")

    @rule(amount=st.integers(1, 300))
    def give_back(self, amount: int) -> None:
        with suppress(BalanceTooSmall):
            voucher_return(voucher_id=self.voucher.pk, amount_gpu_seconds=amount, reason="", actor="test")

    @rule(share=st.integers(1, 4_000))
    def claw_back(self, share: int) -> None:
        voucher_clawback(voucher_id=self.voucher.pk, basis_points=share, reason="", actor="test")

    @invariant()
    def the_money_is_the_worth_of_the_hours(self) -> None:
        voucher, price = self.voucher, price_of_voucher(self.voucher)
        kept = kept_gpu_seconds(voucher)
        state, own = price.shares(kept)
        money, owed = vnd(voucher.money_account_id), -vnd(voucher.contribution_account_id)
        paid = 1_000_000 - budget_of(self.programme).free_vnd - self.held_of_budget()
        assert money == paid + owed, "nothing is lost, nothing is invented"
        slack = 0 if self.released_in_order else len(voucher.tranches.all())
        assert abs(money - state - own) <= slack
        assert abs(owed - own) <= slack
        assert voucher.face_vnd == (voucher.state_share_vnd or 0) + (voucher.own_share_vnd or 0)
        consumed = allocation_balances([self.first.pk])[self.first.pk]
        assert kept >= consumed.consumed - consumed.overrun

    def held_of_budget(self) -> int:
        return sum(row.state_vnd for row in self.voucher.tranches.filter(state="pending"))


def test_money_follows_the_hours_after_any_sequence_of_verbs() -> None:
    makers.tariff("h100", 12_347)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Money,
        settings=settings(
            max_examples=300 if os.environ.get("SOAK") else 6,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        ),
    )
    assert ledger_findings(at=now()).ok
    assert not Account.objects.filter(unit="vnd", kind="voucher_money", credits_posted__lt=0).exists()
