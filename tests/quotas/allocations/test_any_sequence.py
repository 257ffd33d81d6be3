"""Whatever people, jobs and days do to a voucher with money, in any order: the ledger verifies, shares add up to the
face value, nobody is below zero who may not be, a limit is what the log says, and in the end nothing is left over.

The pure figures of jobs are in test_identity, those of money alone in test_money; here is everything together.
"""

import os
import sys
from dataclasses import fields
from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from quotas.allocations.models import Allocation, Tranche
from quotas.allocations.selectors import allocation_balances, allocation_limits
from quotas.allocations.statements import organisation_balances
from quotas.allocations.vouchers import voucher_balances
from quotas.ledger.selectors import balances
from quotas.ledger.verification import ledger_findings
from quotas.money import shares_split, vnd_of
from quotas.programmes.selectors import budget_of
from quotas.statements.services import statements_verify
from tests.quotas import makers
from tests.quotas.allocations.anything import BEGIN, BUDGET, Anything
from tests.quotas.allocations.oracle import balances_by_the_log, limits_by_the_log

SOAK = "SOAK" in os.environ


class Promises(Anything):
    @invariant()
    def the_ledger_verifies(self) -> None:
        assert (findings := ledger_findings(at=self.clock)).ok, findings

    @invariant()
    def shares_add_up_to_the_face_value(self) -> None:
        vouchers = self.vouchers
        for voucher, one in ((row, voucher_balances(vouchers)[row.pk]) for row in vouchers):
            worth = vnd_of(voucher.face_gpu_seconds, voucher.tariff_vnd_per_gpu_hour or 0)
            shares = shares_split(worth, voucher.state_basis_points or 0)
            assert (voucher.state_share_vnd, voucher.own_share_vnd) == shares
            assert voucher.face_vnd == sum(shares)
            assert one.released + one.overrun == one.consumed + one.held + one.remaining + one.expired

    @invariant()
    def limits_and_balances_are_what_the_log_says(self) -> None:
        rows = list(Allocation.objects.filter(voucher__organisation=self.organisation))
        ids = [row.pk for row in rows]
        limits, known, by_the_log = allocation_limits(ids), allocation_balances(ids), limits_by_the_log()
        for row in rows:
            one = by_the_log[row.qos]
            assert limits[row.pk] == one.allowed
            assert one.allowed - one.charged == known[row.pk].free + known[row.pk].held
            assert min(getattr(known[row.pk], field.name) for field in fields(known[row.pk])) >= 0
        log = balances_by_the_log(self.organisation)
        for gpu_type, balance in organisation_balances(self.organisation).items():
            assert all(getattr(balance, one.name) == log[gpu_type, one.name] for one in fields(balance))

    @invariant()
    def no_money_is_lost_or_invented(self) -> None:
        paid = BUDGET - budget_of(self.programme).free_vnd
        paid -= sum(
            Tranche.objects.filter(voucher=self.first.voucher_id, state="pending").values_list("state_vnd", flat=True)
        )
        there = owed = 0
        for voucher in self.vouchers:
            pks = [voucher.money_account_id or 0, voucher.earned_account_id or 0, voucher.contribution_account_id or 0]
            money, earned, contribution = (balances(pks)[pk].posted for pk in pks)
            there, owed = there + money + earned, owed - contribution
            assert min(money, earned, -contribution) >= 0
        assert there == paid + owed

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.nothing_is_left_in_the_end()
        finally:
            transaction.set_rollback(True)
            self.around.__exit__(None, None, None)

    def nothing_is_left_in_the_end(self) -> None:
        """Jobs end, every day comes, the months are closed: every account is settled, every statement still right."""
        while self.holds:
            self.job_ends(used=3, which=0, is_cancelled=False)
        while self.clock.date() <= max(row.ends_on for row in self.vouchers) + timedelta(days=1):
            self.days_pass(20)
        for _ in range(3):  # withdrawals follow one another; what a month takes back is given back in the next
            self.cluster(cancel=1)
            self.days_pass(31)
        self.the_ledger_verifies()
        for voucher, one in ((row, voucher_balances([row])[row.pk]) for row in self.vouchers):
            worth = vnd_of(one.charged, voucher.tariff_vnd_per_gpu_hour or 0)
            assert (one.remaining, one.held, one.pending, one.money) == (0, 0, 0, 0), voucher
            # Parts that came in another order than planned, or after something was given back, round by themselves.
            assert abs((one.earned or 0) - worth) <= voucher.tranches.count()
        assert (verified := statements_verify()).ok, verified.differences


@pytest.mark.django_db
def test_any_sequence_of_verbs_keeps_the_promises() -> None:
    for name in ("a", "b"):
        makers.decider(name)
    with time_machine.travel(BEGIN, tick=False):
        for gpu_type, vnd in (("h100", 12_347), ("h200", 17_891)):
            makers.tariff(gpu_type, vnd)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Promises,
        settings=settings(
            max_examples=300 if SOAK else 4,
            stateful_step_count=40 if SOAK else 25,
            deadline=None,
            derandomize=not SOAK,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        ),
    )
