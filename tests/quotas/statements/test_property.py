"""Any sequence of verbs, over any months: statements add up, follow on one another, and the verification agrees."""

from datetime import timedelta
from typing import Any

import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from portal.people.models import Organisation, Project
from quotas.allocations.errors import QuotaError
from quotas.allocations.models import Allocation, Voucher, Withdrawal
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services import (
    allocation_close,
    correction_book,
    refund_book,
    tranche_release,
    voucher_award,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.ledger.selectors import balances
from quotas.statements.figures import MONEY_MOVEMENTS, MOVEMENTS
from quotas.statements.models import Statement
from quotas.statements.months import Month
from quotas.statements.services import last_month_issue, statements_verify
from tests import factories
from tests.quotas import makers
from tests.quotas.statements.conftest import HANOI, at

VERBS = (
    *("award", "tranches", "charge", "charge", "hold", "refund", "correct", "move", "return", "clawback"),
    *("release", "close"),
)
STEPS = st.tuples(
    st.sampled_from(VERBS), st.integers(0, 5), st.integers(1, 20_000), st.integers(0, 20 * 24 * 3600)
)  # verb, which one, GPU-seconds, seconds until the next


class Player:
    """Plays verbs on one organisation's allocations; what is refused changes nothing."""

    def __init__(self) -> None:
        self.organisation = factories.organisation("Sao Mai", "sao-mai", tax_code="0101234567")
        self.projects = [factories.project(f"P{n}", f"p{n}", of=self.organisation) for n in range(2)]
        makers.tariff("h100", 33_333)
        makers.tariff("h200", 77_777)
        self.programme = makers.programme(h200_hours=1_000, vnd=10**12)
        self.allocations: list[Allocation] = []
        self.charges: list[tuple[int, str]] = []
        self.count = 0

    def play(self, verb: str, which: int, amount: int) -> None:
        self.count += 1
        name = str(self.count)
        project: Project = self.projects[which % 2]
        if verb in ("award", "tranches"):
            parts: tuple[int, ...] = (amount, 500) if verb == "tranches" else ()
            self.allocations.append(
                voucher_award(
                    organisation=self.organisation, project=project, programme=self.programme,
                    gpu_type=("h100", "h200")[which % 3 == 0], amount_gpu_seconds=sum(parts) or amount,
                    cluster="local", starts_on=makers.STARTS, ends_on=makers.ENDS, actor="test", tranches=parts,
                )
            )  # fmt: skip
        elif self.allocations:
            self._on(self.allocations[which % len(self.allocations)], verb, amount, name)

    def _on(self, allocation: Allocation, verb: str, amount: int, name: str) -> None:
        common: dict[str, Any] = {"event_at": makers.NOON, "reason": "x", "actor": "test"}
        try:
            if verb == "charge":
                makers.charge(allocation, name, amount)
                self.charges.append((allocation.pk, name))
            elif verb == "hold":
                makers.hold(allocation, name, amount)
            elif verb in ("refund", "correct") and self.charges:
                pk, charge = self.charges[amount % len(self.charges)]
                key = {"allocation_id": pk, "record_charge_id": makers.named(f"charge {charge}")}
                if verb == "refund":
                    refund_book(**key, refund_id=makers.named(f"refund {name}"), amount_gpu_seconds=amount, **common)
                else:
                    correction_book(**key, revision=int(name), difference_gpu_seconds=amount - 10_000, **common)
            elif verb in ("return", "clawback", "move"):
                self._withdraw(allocation, verb, amount, common)
            elif verb == "release":
                for tranche in allocation.voucher.tranches.filter(state="pending")[:1]:
                    tranche_release(tranche_id=tranche.pk, allocation=allocation, actor="test")
            elif verb == "close" and amount > 15_000:
                allocation_close(allocation_id=allocation.pk, reason="x", actor="test")
        except QuotaError:
            pass

    def _withdraw(self, allocation: Allocation, verb: str, amount: int, common: dict[str, Any]) -> None:
        target = makers.second_allocation(allocation, gpu_seconds=1).pk if verb == "move" else None
        rows = withdrawal_request(
            allocation_id=allocation.pk, kind=verb, amount_gpu_seconds=amount, target_id=target, **common
        )
        for row in rows:
            if row.state == Withdrawal.State.REQUESTED:
                withdrawal_confirm(withdrawal_id=row.pk, event_at=makers.NOON, actor="test")


class Statements(TestCase):
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=st.lists(STEPS, min_size=3, max_size=18))
    def test_statements_add_up_and_follow_on_one_another(self, steps: list[tuple[str, int, int, int]]) -> None:
        with at(2026, 10, 20):
            player = Player()
        clock = Month.read("2026-10").last_moment - timedelta(days=6)
        for verb, which, amount, wait_s in steps:
            with time_machine.travel(clock, tick=False):
                last_month_issue(actor="test")
                player.play(verb, which, amount)
            clock += timedelta(seconds=wait_s)
        end = (clock.astimezone(HANOI) + timedelta(days=40)).replace(day=2)
        with time_machine.travel(end, tick=False):
            last_month_issue(actor="test")
            verified = statements_verify()

        assert verified.ok, verified.differences
        self.check_chain(player.organisation)
        self.check_money(player.organisation)

    def check_chain(self, organisation: Organisation) -> None:
        before: dict[str, int] = {}
        for statement in Statement.objects.filter(organisation=organisation).order_by("sequence"):
            compute = statement.summary["compute"]
            for gpu_type, row in compute.items():
                assert row["opening"] == before.get(gpu_type, 0)
                assert row["opening"] + sum(row[name] for name in MOVEMENTS) == row["closing"]
                assert row["other"] == row["moved"] == 0
            for gpu_type, amount in before.items():
                assert gpu_type in compute or amount == 0
            before = {gpu_type: row["closing"] for gpu_type, row in compute.items()}
        held: dict[str, int] = {}
        for row in Allocation.objects.select_related("voucher"):
            balance = allocation_balances([row.pk])[row.pk]
            held[row.gpu_type] = held.get(row.gpu_type, 0) + balance.held + balance.remaining
        for voucher in {row.voucher for row in Allocation.objects.select_related("voucher")}:
            held[voucher.gpu_type] += balances([voucher.account_id])[voucher.account_id].posted
        assert {name: n for name, n in before.items() if n} == {name: n for name, n in held.items() if n}

    def check_money(self, organisation: Organisation) -> None:
        """The months follow on one another in VND too, and end where the ledger stands."""
        vouchers = list(Voucher.objects.filter(organisation=organisation))
        before = to_date = 0
        for statement in Statement.objects.filter(organisation=organisation).order_by("sequence"):
            money = statement.summary["money"]
            assert money["opening"] == before
            assert money["opening"] + sum(money[name] for name in MONEY_MOVEMENTS) == money["closing"]
            assert money["earned_to_date"] == to_date - money["earned"]
            assert money["other"] == 0
            before, to_date = money["closing"], money["earned_to_date"]
        accounts = [(voucher.money_account_id or 0, voucher.earned_account_id or 0) for voucher in vouchers]
        known = balances([pk for pair in accounts for pk in pair])
        assert before == sum(known[money].posted for money, _earned in accounts)
        assert to_date == sum(known[earned].posted for _money, earned in accounts)
