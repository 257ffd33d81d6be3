"""Two real Slurm in one portal: the test stack's, and a second one of the test's own under another ClusterName.

A worker is a copy of the test's process here, and dies with -9 where the test wants it to.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from django.conf import settings as django_settings
from django.db import connection

from portal.clock import now
from portal.outbox.models import Message
from portal.people.models import Project
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.selectors import allocation_limits
from quotas.allocations.services import cluster_move, withdrawal_cancel
from quotas.allocations.vouchers import voucher_balances
from quotas.ledger.verification import ledger_findings
from scheduler.accounts.services import accounts_cycle
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.models import Cluster
from tests import factories
from tests.quotas import makers
from tests.scheduler.accounts.conftest import leave_behind
from tests.scheduler.jobs.dying import worker_copied
from tests.scheduler.live import LiveSlurm, own_name, wait_for
from tests.scheduler.own_slurm import OwnSlurm, Partition, own_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.django_db(transaction=True)]
SOUTH = "south"
GRANTED_MINUTES = 100
POLICY = "Job violates accounting/QOS policy"
SLEEPER = "#!/bin/sh\nsleep 300\n"


@pytest.fixture(scope="module")
def second() -> Iterator[OwnSlurm]:
    with own_slurm(cluster=SOUTH, partitions=(Partition("h100", "h100", nodes=1),)) as slurm:
        yield slurm


@dataclass
class Centre:
    """A project with 100 GPU-minutes, all of them on the first of two clusters."""

    live: dict[str, LiveSlurm]
    source: Allocation
    researcher: str

    def move(self, minutes: int) -> Withdrawal:
        return cluster_move(
            source_id=self.source.pk,
            cluster=SOUTH,
            amount_gpu_seconds=minutes * 60,
            reason="faster there",
            actor="test",
        )

    def work(self, cluster: str, *, dies_at: str = "") -> int:
        """The cluster's worker delivers what is due in its queue; answers its exit status."""
        Message.objects.filter(delivered_at=None).update(due_at=now())  # what it put off is due again
        wait_for("what the last one held to be free", _nobody_else)
        return worker_copied(queue=f"cluster.{cluster}", dies_at=dies_at)

    def minutes(self, row: Withdrawal) -> tuple[int | None, int | None]:
        """The limits in force on both, as each slurmctld holds them; None: it does not know the QOS."""
        assert row.target is not None
        found = []
        for cluster, qos in (("local", self.source.qos), (SOUTH, row.target.qos)):
            usage = adapter_for(cluster).qos_usage([qos]).get(qos)
            found.append(usage.limit_minutes if usage else None)
        return found[0], found[1]

    def stands(self, row: Withdrawal) -> tuple[str, int | None, int | None]:
        """State and limits. Whatever happened before: in Slurm there is no minute more than was granted, and the
        GPU-seconds are in one place."""
        row.refresh_from_db()
        here, there = self.minutes(row)
        assert (here or 0) + (there or 0) <= GRANTED_MINUTES
        assert ledger_findings(at=now()).ok
        voucher = voucher_balances([self.source.voucher])[self.source.voucher_id]
        limits = allocation_limits([self.source.pk, row.target_id or 0])
        leaving = row.amount_gpu_seconds if row.state == "requested" else 0
        assert sum(limits.values()) + voucher.moving + leaving == GRANTED_MINUTES * 60
        return row.state, here, there

    def cycle(self, cluster: str) -> None:
        assert accounts_cycle(cluster) is not None

    def sbatch(self, cluster: str, allocation: Allocation, minutes: int) -> str:
        """By plain sbatch, the portal bypassed; one GPU."""
        account = Cluster.objects.get(name=cluster).account_prefix + self.source.project.slug
        place = [f"--account={account}", "--partition=h100", f"--qos={allocation.qos}", "--gres=gpu:h100:1"]
        answer = self.live[cluster].sbatch(self.researcher, *place, f"--time={minutes}", script=SLEEPER)
        return answer.out.strip() or answer.error

    def running(self, cluster: str, qos: str) -> int:
        return len([job for job in adapter_for(cluster).queue() if job.qos == qos and job.state == "RUNNING"])


def _nobody_else() -> bool:
    """A killed process's session ends, and its locks with it, when PostgreSQL sees that nobody is there."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return bool(cursor.fetchone()[0] == 0)


@pytest.fixture
def centre(project: Project, second: OwnSlurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    monkeypatch.setitem(django_settings.SLURM, SOUTH, second.how)
    live = {"local": LiveSlurm(), SOUTH: second.live()}
    prefix = own_name("")[:10]
    clusters = [
        Cluster.objects.create(
            name=name, title=name, account_prefix=prefix, created_at=datetime(2026, 6, 1, tzinfo=UTC)
        )
        for name in live
    ]
    researcher = live["local"].researchers[0]
    factories.project_member(factories.person("a@example.vn", "A", unix_account=researcher), project)
    source = makers.award(project, makers.programme(), gpu_seconds=GRANTED_MINUTES * 60)
    for cluster in clusters:
        assert accounts_cycle(cluster.name) is not None
    yield Centre(live, source, researcher)
    leave_behind(clusters[0], live["local"])
    live[SOUTH].admin("scancel", f"--user={researcher}")


def test_a_worker_killed_at_every_step_of_a_move_is_followed_by_one_that_goes_on(centre: Centre) -> None:
    row = centre.move(40)
    assert centre.stands(row) == ("requested", 100, None)
    assert centre.work("local", dies_at="limit_lowered") == -signal.SIGKILL
    assert centre.stands(row) == ("requested", 60, None)
    assert centre.work(SOUTH) == 0  # nothing for it yet
    assert centre.work("local", dies_at="limit_read_back") == -signal.SIGKILL
    assert centre.stands(row) == ("requested", 60, None)
    assert centre.work("local", dies_at="withdrawal_confirmed") == -signal.SIGKILL
    assert centre.stands(row) == ("moving", 60, None)
    assert centre.work("local") == 0  # the message is delivered, the first half is not done twice
    assert centre.work(SOUTH, dies_at="move_arrived") == -signal.SIGKILL
    assert centre.stands(row) == ("confirmed", 60, None)
    assert centre.work(SOUTH, dies_at="move_raised") == -signal.SIGKILL
    assert centre.stands(row) == ("confirmed", 60, 40)
    assert row.raised_at is None
    assert centre.work(SOUTH) == 0
    assert centre.stands(row) == ("confirmed", 60, 40)
    assert row.raised_at is not None
    assert not Message.objects.filter(topic__startswith="moves.", delivered_at=None).exists()

    centre.cycle(SOUTH)  # members, too
    assert row.target is not None
    assert POLICY in centre.sbatch(SOUTH, row.target, 41), "more than arrived"
    assert centre.sbatch(SOUTH, row.target, 40).isdigit()
    wait_for("the job to run there", lambda: centre.running(SOUTH, row.target.qos) == 1)
    assert POLICY in centre.sbatch("local", centre.source, 61), "it is not here any more"


def test_taken_back_between_the_halves_it_is_here_again_and_never_there(centre: Centre) -> None:
    row = centre.move(40)
    assert centre.work("local") == 0
    assert centre.stands(row) == ("moving", 60, None)
    withdrawal_cancel(withdrawal_id=row.pk, reason="x", event_at=now(), actor="test")
    assert centre.work(SOUTH) == 0
    centre.cycle(SOUTH)
    centre.cycle("local")
    assert centre.stands(row)[:2] == ("cancelled", 100)
    assert not centre.minutes(row)[1]


def test_what_a_job_past_the_portal_may_still_use_does_not_leave(centre: Centre) -> None:
    """The ledger has 100 minutes free, so 40 are reserved; but a job of 90 was quicker than the lower limit."""
    row = centre.move(40)
    assert row.target is not None
    job = centre.sbatch("local", centre.source, 90)
    wait_for("the job to run", lambda: centre.running("local", centre.source.qos) == 1)
    assert centre.work("local") == 0
    assert centre.stands(row) == ("requested", 60, None), "lowered, so nothing more starts here, and nothing there"
    centre.cycle(SOUTH)
    assert not centre.minutes(row)[1]
    assert POLICY in centre.sbatch(SOUTH, row.target, 1)

    centre.live["local"].admin("scancel", job)
    usage = adapter_for("local")
    wait_for(
        "slurmctld to count it", lambda: usage.qos_usage([centre.source.qos])[centre.source.qos].running_minutes == 0
    )
    assert centre.work("local") == 0
    assert centre.work(SOUTH) == 0
    assert centre.stands(row) == ("confirmed", 60, 40)


def test_what_cannot_arrive_stays_between_and_can_go_back(centre: Centre, second: OwnSlurm) -> None:
    row = centre.move(40)
    assert centre.work("local") == 0
    second.kill("slurmctld")
    try:
        assert centre.work(SOUTH) == 0
        assert Withdrawal.objects.get().state == "moving"
        assert Message.objects.get(topic="moves.raise").last_error
    finally:
        second.start("slurmctld")
        wait_for("slurmctld", lambda: not second.live().root.ask("scontrol", "ping").code, 60)
    assert centre.work(SOUTH) == 0
    assert centre.stands(row) == ("confirmed", 60, 40)


def test_a_retired_cluster_takes_nothing_more_and_lets_go_on_what_is_there(centre: Centre) -> None:
    row = centre.move(40)
    for cluster in ("local", SOUTH):
        assert centre.work(cluster) == 0
    centre.cycle(SOUTH)
    assert row.target is not None
    waiting = centre.sbatch(SOUTH, row.target, 10)
    assert waiting.isdigit()
    Cluster.objects.filter(name=SOUTH).update(retired_at=now(), retired_reason="x")
    centre.cycle(SOUTH)
    wait_for("what was submitted to run", lambda: centre.running(SOUTH, row.target.qos) == 1)
    assert POLICY in centre.sbatch(SOUTH, row.target, 1)
