"""An allocation's states, dates, withdrawals and counter, as they reach Slurm."""

from datetime import date
from unittest.mock import patch

import pytest

from portal.clock import now
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import allocation_balances, withdrawals_requested
from quotas.allocations.services import (
    allocation_adopt,
    allocation_resume,
    allocation_suspend,
    withdrawal_request,
)
from quotas.allocations.services.changes import change_propose, change_request
from scheduler.accounts.models import LimitReading
from scheduler.clusters.adapters.protocol import ClusterError
from tests.quotas import makers
from tests.scheduler.accounts.conftest import Site
from tests.scheduler.live import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
SLEEPER = "#!/bin/sh\nsleep 120\n"


def test_a_suspended_allocation_takes_no_jobs_and_leaves_running_ones_alone(site: Site) -> None:
    allocation = site.award(gpu_seconds=60_000)
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    options = [*site.place(allocation), "--gres=gpu:h100:1", "--time=5"]
    running = int(site.slurm.sbatch(alice, *options, script=SLEEPER).out)
    wait_for("the job to run", lambda: site.running(allocation) == 1)
    waiting = int(site.slurm.sbatch(alice, *options, f"--dependency=after:{running}+60").out)
    allocation_suspend(allocation_id=allocation.pk, reason="review", actor="test")
    found = {row["field"]: (row["from"], row["to"]) for row in site.changes()}
    assert found == {"grp_jobs": (None, 0), "grp_submit_jobs": (None, 0)}
    assert site.cycle().left.changes == []
    assert "Job violates accounting/QOS policy" in site.slurm.sbatch(alice, *options).error
    assert {job.job_id: job.state for job in site.adapter.queue(job_ids=[running, waiting])} == {
        running: "RUNNING",
        waiting: "PENDING",
    }
    allocation_resume(allocation_id=allocation.pk, reason="", actor="test")
    assert site.cycle().left.changes == []
    assert site.slurm.sbatch(alice, *options).code == 0


def test_an_allocation_before_its_first_and_after_its_last_day_is_shut(site: Site) -> None:
    later = site.award(starts_on=date(2099, 1, 1))
    ended = site.award("h200", starts_on=date(2020, 1, 1), ends_on=date(2020, 12, 31))
    site.cycle()
    shut = {row.name: (row.grp_jobs, row.grp_submit_jobs) for row in site.adapter.qos()}
    assert (shut[later.qos], shut[ended.qos]) == ((0, 0), (0, 0))


def test_a_withdrawal_is_confirmed_only_after_slurmctld_holds_the_lower_limit(site: Site) -> None:
    allocation = site.award()
    site.cycle()
    (row,) = withdrawal_request(
        allocation_id=allocation.pk,
        kind="return",
        amount_gpu_seconds=2_400,
        reason="not needed",
        event_at=now(),
        actor="test",
    )

    def refuse(self, **fields: object) -> None:
        raise ClusterError("refused for the test")

    with patch.object(type(site.adapter), "qos_modify", refuse):
        assert site.cycle().withdrawals_confirmed == 0
    row.refresh_from_db()
    assert (row.state, site.minutes(allocation)) == ("requested", 100)
    assert site.cycle().withdrawals_confirmed == 1
    row.refresh_from_db()
    assert (row.state, site.minutes(allocation)) == ("confirmed", 60)
    assert withdrawals_requested("local") == []
    assert allocation_balances([allocation.pk])[allocation.pk].remaining == 3_600
    assert site.changes() == []


def test_another_gpu_type_is_given_only_after_slurmctld_holds_the_lower_limit_of_the_first(site: Site) -> None:
    voucher = makers.voucher_with_money(site.project)
    makers.tariff("h200", 90_000)
    allocation, person = voucher.allocations.get(), makers.decider("a")
    site.cycle()
    request = change_request(
        voucher=voucher,
        kind="gpu_type",
        reason="memory",
        person=person,
        amount_gpu_seconds=30 * makers.HOUR,
        gpu_type="h200",
    )
    makers.approved(change_propose(request_id=request.pk, reason="x", person=person))

    def refuse(self, **fields: object) -> None:
        raise ClusterError("refused for the test")

    with patch.object(type(site.adapter), "qos_modify", refuse):
        assert site.cycle().withdrawals_confirmed == 0
    request.refresh_from_db()
    assert (request.state, site.minutes(allocation)) == ("approved", 60 * 60)
    assert site.cycle().withdrawals_confirmed == 1
    request.refresh_from_db()
    assert (request.state, site.minutes(allocation)) == ("applied", 30 * 60)
    assert site.cycle().left.changes == []
    assert site.minutes(Allocation.objects.get(gpu_type="h200")) == 20 * 60
    assert site.changes() == []


def test_what_the_counter_does_not_know_is_taken_off_the_limit(site: Site) -> None:
    """Charged to the ledger, unknown to slurmctld: as after a kill -9 that lost it (see test_counter.py)."""
    allocation = site.award()
    site.cycle()
    hold = makers.hold(allocation, "lost job", 1_500)
    makers.charge(allocation, "lost job", 1_500, hold_id=hold)
    found = {row["field"]: (row["from"], row["to"]) for row in site.changes()}
    assert found == {"grp_tres_mins": ({"gres/gpu": 100, "gres/gpu:h100": 100}, {"gres/gpu": 75, "gres/gpu:h100": 75})}
    assert site.cycle().left.changes == []
    reading = LimitReading.objects.get(qos=allocation.qos)
    assert (reading.expected_usage_gpu_seconds, reading.usage_raw_gpu_seconds) == (1_500, 0)
    assert (reading.counter_gap_gpu_seconds, reading.read_minutes) == (1_500, 75)


def test_an_allocation_that_is_gone_from_the_plan_is_shut_and_its_qos_kept(site: Site) -> None:
    allocation = site.award()
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    type(allocation).objects.filter(pk=allocation.pk).update(cluster="elsewhere")
    applied = site.cycle()
    assert applied.left.changes == []
    qos = {row.name: row for row in site.adapter.qos()}[allocation.qos]
    assert (qos.grp_jobs, qos.grp_submit_jobs) == (0, 0)
    assert (alice, "h100") not in site.members()
    assert site.account not in {row.name for row in site.adapter.accounts()}


def test_imported_history_is_wanted_only_after_its_adoption(site: Site) -> None:
    allocation = site.award()
    type(allocation).objects.filter(pk=allocation.pk).update(imported=True)
    type(allocation.voucher).objects.filter(pk=allocation.voucher_id).update(imported=True)
    assert site.changes() == []
    allocation_adopt(allocation_id=allocation.pk, actor="test")
    assert {row["name"] for row in site.changes()} >= {allocation.qos, site.account}
