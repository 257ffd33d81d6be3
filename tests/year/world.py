"""The clock of the year and what follows every step of it: beat's tasks, the cluster's plan on the real Slurm, and the
promises."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import time_machine

from quotas.allocations import tasks
from quotas.allocations.models import Allocation
from quotas.programmes.models import Call, Programme
from quotas.statements.months import Month
from quotas.statements.tasks import last_month_issue
from scheduler.accounts.services import accounts_cycle, plan_make
from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.models import Cluster
from tests.scheduler.live import LiveSlurm
from tests.year import promises
from tests.year.cast import Centre, Player

SOAK = "SOAK" in os.environ
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
CYCLES_MOST = 20  # a withdrawal lowers a limit, its confirmation raises another; forty organisations take several


@dataclass
class Year:
    slurm: LiveSlurm
    adapter: CommandsAdapter
    cluster: Cluster
    dice: random.Random
    centre: Centre
    players: dict[str, Player]
    programme: Programme | None = None
    calls: list[Call] = field(default_factory=list)
    moment: datetime = datetime(2027, 1, 1, tzinfo=HANOI)
    compared: int = 0  # limits, over the whole year
    jobs: int = 0

    @contextmanager
    def at(self, text: str) -> Iterator[None]:
        """A step of the story at a time of the centre, "2027-03-15 09:00". After it, everything must hold.

        The clock runs on from there: what waits for Slurm waits by it."""
        with self.travel(text):
            yield
            self.follow()
            self.check()

    def travel(self, text: str) -> time_machine.travel:
        moment = datetime.fromisoformat(text).replace(tzinfo=HANOI)
        assert moment > self.moment, f"{text}: the story goes on in time"
        self.moment = moment
        return time_machine.travel(moment.astimezone(UTC))

    def month_end(self, text: str) -> int:
        """The month is closed and its statements are issued, on the second day of the next; returns how many. Money
        moves, no limit does: what is in Slurm is compared as it stands.
        """
        month = Month.read(text)
        with self.travel(f"{month.next}-02 10:00"):
            issued = last_month_issue()
            assert last_month_issue() == 0, "once is enough"
            assert promises.statements_are_the_ledger(month) == issued
            self.check()
        return issued

    def follow(self) -> None:
        """What beat and the cluster's worker do every few minutes, until nothing is left to do."""
        tasks.expire_ended()
        tasks.vouchers_follow()
        if not Allocation.objects.exists():
            return  # nothing of ours is in Slurm
        for _ in range(CYCLES_MOST):
            applied = accounts_cycle(self.cluster.name, adapter=self.adapter)
            assert applied is not None
            assert (applied.errors, applied.busy, applied.removals_withheld) == ([], [], 0)
            # What is left was read after everything was done: this is the second plan.
            if not applied.left.actions and not applied.withdrawals_confirmed and not tasks.expire_ended():
                assert applied.left.changes == []
                return
        raise AssertionError(plan_make(cluster=self.cluster, adapter=self.adapter).changes)

    def check(self) -> None:
        promises.ledger_adds_up()
        self.compared += promises.limits_are_the_allocations(self.slurm)
