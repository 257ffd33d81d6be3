"""Balance moves to and fro between two clusters whose workers die anywhere, while jobs start, end and are cancelled, by
the portal and past it. At every moment the limits that Slurm holds, and what may run under them, are covered by what
the voucher has: nobody can use a GPU-second twice, and none is lost.

Slurm here is two numbers (a limit in force, jobs) and its own rule of `safe`: a job starts only if what was used, what
runs may still use and what it wants stay within the limit. Beside it the same steps are played on two real Slurm in
tests/scheduler/accounts/test_two_clusters.py.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from portal.clock import now
from portal.people.models import Organisation
from quotas.allocations.errors import QuotaError
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.selectors import allocation_limits, moves_arriving, withdrawals_requested
from quotas.allocations.services import (
    Charge,
    charges_book,
    cluster_move,
    hold_take,
    hold_void,
    move_arrive,
    move_raised,
    withdrawal_cancel,
    withdrawal_confirm,
)
from quotas.allocations.vouchers import voucher_balances
from quotas.ledger.verification import ledger_findings
from tests import factories
from tests.quotas import makers
from tests.quotas.allocations.oracle import limits_by_the_log

SOAK = "SOAK" in os.environ
GRANTED = 1_000
CLUSTERS = ("local", "south")
WHERE = st.sampled_from(CLUSTERS)
AMOUNTS = st.integers(1, 400)


@dataclass
class Slurm:
    """One cluster's, of the one QOS there. A job is (what it may still use, its hold in the ledger or none)."""

    limit: int = 0
    used: int = 0
    jobs: dict[UUID, tuple[int, UUID | None]] = field(default_factory=dict)
    ended: list[tuple[int, UUID | None]] = field(default_factory=list)  # used, and their record not charged yet
    plan: tuple[int, list[Withdrawal], list[Withdrawal]] | None = None  # what its worker has read and not done yet

    @property
    def committed(self) -> int:
        return self.used + sum(most for most, _hold in self.jobs.values())

    def start(self, most: int, hold: UUID | None) -> bool:
        if self.committed + most > self.limit:
            return False
        self.jobs[uuid4()] = (most, hold)
        return True


class Moves(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.around = transaction.atomic()  # of what one sequence did, the next finds nothing
        self.around.__enter__()

    @initialize()
    def begin(self) -> None:
        organisation = factories.organisation("sao-mai", "sao-mai", kind=Organisation.Kind.SME)
        project = factories.project("P", "p", of=organisation)
        self.voucher = makers.award(project, makers.programme(), gpu_seconds=GRANTED).voucher
        self.slurm = {"local": Slurm(limit=GRANTED), "south": Slurm()}
        self.holds: dict[UUID, str] = {}  # of jobs that Slurm has not started

    def allocation(self, cluster: str) -> Allocation | None:
        return self.voucher.allocations.filter(cluster=cluster, state="active").first()

    # --- people and jobs ----------------------------------------------------------------------------------------------

    @rule(here=WHERE, amount=AMOUNTS)
    def move(self, here: str, amount: int) -> None:
        source, there = self.allocation(here), CLUSTERS[1 - CLUSTERS.index(here)]
        if source is not None:
            with suppress(QuotaError):
                cluster_move(source_id=source.pk, cluster=there, amount_gpu_seconds=amount, reason="x", actor="test")

    @rule()
    def cancel(self) -> None:
        """Whatever stands open the longest, wherever it stands."""
        for row in Withdrawal.objects.filter(kind="move", state__in=["requested", "moving"])[:1]:
            withdrawal_cancel(withdrawal_id=row.pk, reason="x", event_at=now(), actor="test")

    @rule(where=WHERE, most=AMOUNTS)
    def job_of_the_portal(self, where: str, most: int) -> None:
        allocation, hold = self.allocation(where), uuid4()
        if allocation is None:
            return
        with suppress(QuotaError):
            hold_take(
                allocation_id=allocation.pk,
                hold_id=hold,
                amount_gpu_seconds=most,
                event_at=now(),
                reason="job",
                actor="test",
            )
            if not self.slurm[where].start(most, hold):
                hold_void(hold_id=hold, event_at=now(), reason="refused", actor="test")

    @rule(where=WHERE, most=AMOUNTS)
    def job_past_the_portal(self, where: str, most: int) -> None:
        """Plain sbatch: the ledger hears of it when its record is read, or when the worker sees it."""
        self.slurm[where].start(most, None)

    @rule(where=WHERE)
    def worker_covers_what_it_sees(self, where: str) -> None:
        slurm, allocation = self.slurm[where], self.allocation(where)
        for job, (most, hold) in list(slurm.jobs.items()):
            if hold is None and allocation is not None:
                taken = uuid4()
                with suppress(QuotaError):
                    hold_take(
                        allocation_id=allocation.pk,
                        hold_id=taken,
                        amount_gpu_seconds=most,
                        event_at=now(),
                        reason="outside",
                        actor="test",
                    )
                    slurm.jobs[job] = (most, taken)

    @rule(where=WHERE, share=st.integers(0, 100))
    def job_ends(self, where: str, share: int) -> None:
        slurm = self.slurm[where]
        for job, (most, hold) in list(slurm.jobs.items())[:1]:
            used = most * share // 100
            del slurm.jobs[job]
            slurm.used += used
            slurm.ended.append((used, hold))

    @rule(where=WHERE)
    def worker_settles(self, where: str) -> None:
        slurm, allocation = self.slurm[where], self.allocation(where)
        for used, hold in slurm.ended:
            assert allocation is not None
            charge = Charge(
                charge_id=uuid4(),
                allocation_id=allocation.pk,
                gpu_seconds=used,
                hold_id=hold,
                event_at=now(),
                reason="job",
            )
            [booked] = charges_book(charges=[charge], actor="test")
            assert booked.overrun == 0, "used by two"
        slurm.ended = []

    # --- the workers, each step by itself: between two of them a worker may die, or the other one act ----------------

    @rule(where=WHERE)
    def worker_takes_in(self, where: str) -> None:
        for row in moves_arriving(where):
            with suppress(QuotaError):
                move_arrive(withdrawal_id=row.pk, event_at=now(), actor="test")

    @rule(where=WHERE)
    def worker_reads(self, where: str) -> None:
        """In the plan's order: what is to leave, what has arrived, then the limits."""
        allocation = self.allocation(where)
        if allocation is not None:
            leaving = withdrawals_requested(where)
            arrived = [row for row in moves_arriving(where) if row.state == "confirmed"]
            self.slurm[where].plan = (allocation_limits([allocation.pk])[allocation.pk], leaving, arrived)

    @rule(where=WHERE)
    def worker_dies(self, where: str) -> None:
        self.slurm[where].plan = None

    @rule(where=WHERE, also_confirms=st.booleans())
    def worker_writes(self, where: str, also_confirms: bool) -> None:
        slurm = self.slurm[where]
        if slurm.plan is None:
            return
        slurm.limit, leaving, arrived = slurm.plan
        slurm.plan = None
        if not also_confirms:  # it died before it read back
            return
        for row in leaving:
            if slurm.committed <= slurm.limit:
                with suppress(QuotaError):
                    withdrawal_confirm(withdrawal_id=row.pk, event_at=now(), actor="test")
        for row in arrived:
            move_raised(withdrawal_id=row.pk)

    # --- what holds at every moment -----------------------------------------------------------------------------------

    @invariant()
    def nobody_can_use_a_gpu_second_twice(self) -> None:
        # A limit under which nothing more can start may still stand where a worker died; what can be used in all is
        # what is committed, and what could start now.
        usable = sum(max(slurm.limit, slurm.committed) for slurm in self.slurm.values())
        assert usable <= GRANTED, {name: (one.limit, one.committed) for name, one in self.slurm.items()}

    @invariant()
    def every_gpu_second_is_in_one_place(self) -> None:
        assert (findings := ledger_findings(at=now())).ok, findings
        balance = voucher_balances([self.voucher])[self.voucher.pk]
        assert balance.face == balance.consumed + balance.held + balance.remaining
        moving = Withdrawal.objects.filter(kind="move", state="moving").values_list("amount_gpu_seconds", flat=True)
        assert (balance.moving, balance.unallocated, balance.overrun) == (sum(moving), 0, 0)
        allowed = limits_by_the_log()
        rows = list(self.voucher.allocations.all())
        limits = allocation_limits([row.pk for row in rows])
        assert all(limits[row.pk] == allowed[row.qos].allowed for row in rows)
        requested = Withdrawal.objects.filter(state="requested").values_list("amount_gpu_seconds", flat=True)
        assert sum(limits.values()) + sum(moving) + sum(requested) == GRANTED

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.all_comes_to_an_end()
        finally:
            transaction.set_rollback(True)
            self.around.__exit__(None, None, None)

    def all_comes_to_an_end(self) -> None:
        """Jobs end, workers go on: no move is left under way, and Slurm holds what the ledger says."""
        for where in CLUSTERS:
            while self.slurm[where].jobs:
                self.job_ends(where=where, share=50)
            self.worker_settles(where=where)
        for _ in range(3):
            for where in CLUSTERS:
                self.worker_takes_in(where=where)
                self.worker_reads(where=where)
                self.worker_writes(where=where, also_confirms=True)
                self.nobody_can_use_a_gpu_second_twice()
        self.every_gpu_second_is_in_one_place()
        assert not Withdrawal.objects.filter(state__in=["requested", "moving"]).exists()
        assert not Withdrawal.objects.filter(state="confirmed", raised_at=None).exists()
        for where in CLUSTERS:
            allocation = self.allocation(where)
            if allocation is not None:
                assert self.slurm[where].limit == allocation_limits([allocation.pk])[allocation.pk]


@pytest.mark.django_db
def test_whatever_happens_in_whatever_order() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Moves,
        settings=settings(
            max_examples=400 if SOAK else 8,
            stateful_step_count=50 if SOAK else 30,
            deadline=None,
            derandomize=not SOAK,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        ),
    )
