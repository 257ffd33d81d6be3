"""What slurmdbd's records can do, with the real one: components, suspension, lateness, changes, losses."""

import time
from datetime import timedelta

import pytest

from quotas.allocations.selectors import allocation_balances
from scheduler.accounts.services import plan_make
from scheduler.clusters.names import account_name
from scheduler.jobs.models import Job
from scheduler.settlement.models import Kept, Reconciliation, Record
from scheduler.settlement.services import missing_keep, reconcile
from tests.scheduler.settlement.real import real_centre, run
from tests.scheduler.settlement.slurmdbd import record_copy, sql

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

SLEEP = "#!/bin/bash\nsleep {}\n"
STEADY = "#!/bin/bash\nfor second in {1..12}; do sleep 1; done\n"
SUSPENDED_S = 20


@pytest.fixture
def centre(db):
    with real_centre() as made:
        yield made


def submit_heterogeneous(centre) -> int:
    """One GPU, and beside it twice two; each component says whose it is."""
    place = [
        f"--account={account_name(centre.cluster, centre.projects[0].slug)}",
        f"--qos={centre.allocations[0, 'h100'].qos}",
        *("--partition=h100", "--time=5"),
    ]
    return centre.sbatch("--gpus-per-node=h100:1", ":", *place, "-N2", "--gpus-per-node=h100:2", script=SLEEP.format(3))


def compared(centre) -> Reconciliation:
    return reconcile(cluster=centre.cluster, adapter=centre.adapter)


def consumed(centre) -> int:
    balances = allocation_balances([row.pk for row in centre.allocations.values()])
    assert sum(balance.held for balance in balances.values()) == 0
    return sum(balance.consumed for balance in balances.values())


def test_records_of_every_kind_leave_no_residual(centre):
    heterogeneous = submit_heterogeneous(centre)
    plain = centre.sbatch("--gpus-per-node=h100:1", script=SLEEP.format(4), place=1)
    stopped = centre.sbatch("--gpus-per-node=h100:2", script=STEADY)
    centre.cycle_until(lambda: centre.is_running(stopped))
    _suspend(centre, stopped)
    centre.cycle_until(centre.is_settled)

    parts = {row.job_id: row for row in Record.objects.filter(job_id_raw__in=(heterogeneous, heterogeneous + 1))}
    assert {job_id: row.gpus for job_id, row in parts.items()} == {f"{heterogeneous}+0": 1, f"{heterogeneous}+1": 4}
    assert all(row.charged_gpu_seconds == row.gpus * row.elapsed_s > 0 for row in parts.values())
    assert Job.objects.filter(slurm_job_id__in=(heterogeneous, heterogeneous + 1)).count() == 2

    _suspended_time_is_nobodys(centre, stopped)
    _late_and_changed(centre, plain)
    _deleted_user(centre)
    _lost(centre, plain)


def _suspended_time_is_nobodys(centre, number: int) -> None:
    """ElapsedRaw leaves it out; sreport and slurmctld's counter have it, because nobody else got the GPUs meanwhile.

    Charged is ElapsedRaw. The limit is raised by the rest, so that as much can be used in Slurm as the ledger has left.
    """
    record = Record.objects.get(job_id_raw=number)
    assert record.suspended_s >= SUSPENDED_S
    assert record.ended_at - record.started_at == timedelta(seconds=record.elapsed_s + record.suspended_s)
    assert record.charged_gpu_seconds == 2 * record.elapsed_s
    found = compared(centre)
    assert found.charged_gpu_seconds == consumed(centre)
    assert (found.residual_gpu_seconds, found.counter_gaps, found.purged_before) == (0, {}, None)
    assert found.others_records > 0
    suspended = 2 * record.suspended_s
    assert centre.sreport_gpu_seconds() == consumed(centre) + suspended
    allocation = centre.allocations[0, "h100"]
    centre.cycle()
    usage = centre.adapter.qos_usage([allocation.qos])[allocation.qos]
    balance = allocation_balances([allocation.pk])[allocation.pk]
    assert usage.usage_raw_gpu_seconds == balance.consumed + suspended
    assert 0 <= balance.remaining - (usage.limit_minutes * 60 - usage.usage_raw_gpu_seconds) < 60


def _suspend(centre, number: int) -> None:
    assert run("scontrol", "suspend", str(number)).returncode == 0
    for _second in range(SUSPENDED_S // 4):
        centre.cycle()
        time.sleep(4)
    assert Job.objects.get(slurm_job_id=number).state == "suspended"
    assert run("scontrol", "resume", str(number)).returncode == 0


def _late_and_changed(centre, number: int) -> None:
    before = consumed(centre)
    record_copy(number, days_earlier=200, elapsed_s=11)
    centre.cycle()
    assert consumed(centre) == before  # far outside every window
    found = compared(centre)
    assert [(row["kind"], row["job"]) for row in found.differences] == [("not_settled", str(number))]
    centre.cycle()
    assert (consumed(centre), compared(centre).residual_gpu_seconds) == (before + 11, 0)
    assert Job.objects.filter(slurm_job_id=number).count() == 2  # the number was given away again

    sql("UPDATE local_job_table SET time_end = time_end + 9 WHERE id_job = %s ORDER BY time_submit LIMIT 1", number)
    centre.cycle()
    assert compared(centre).differences_count == 1
    centre.cycle()
    assert (consumed(centre), compared(centre).residual_gpu_seconds) == (before + 20, 0)
    assert Record.objects.get(job_id_raw=number, revision=1).charged_gpu_seconds == 20

    # As when slurmdbd was down as the job became eligible: it is in no list by time any more.
    listed = compared(centre).records
    sql("UPDATE local_job_table SET time_eligible = 0 WHERE id_job = %s", number)
    assert number not in {record.job_id_raw for record in centre.adapter.records()}
    found = compared(centre)
    assert (found.residual_gpu_seconds, found.differences, found.records) == (0, [], listed)


def _deleted_user(centre) -> None:
    """Who is gone from Slurm leaves records that are still theirs."""
    before = compared(centre)
    account, user = account_name(centre.cluster, centre.projects[1].slug), centre.people[1].unix_account or ""
    for partition in ("h100", "h200"):
        centre.adapter.association_remove(account=account, user=user, partition=partition)
    found = compared(centre)
    assert (found.residual_gpu_seconds, found.records) == (0, before.records)
    centre.cycle_until(lambda: not plan_make(cluster=centre.cluster, adapter=centre.adapter).changes)


def _lost(centre, number: int) -> None:
    """As after a restoration from a backup: one record is gone, and one runs again."""
    before = consumed(centre)
    rows = sql("SELECT job_db_inx, time_submit FROM local_job_table WHERE id_job = %s ORDER BY time_submit", number)
    assert len(rows) == 2
    sql("DELETE FROM local_job_table WHERE job_db_inx = %s", rows[0][0])
    sql("UPDATE local_job_table SET time_end = 0, state = 1 WHERE job_db_inx = %s", rows[1][0])
    centre.cycle()
    found = compared(centre)
    assert sorted(row["kind"] for row in found.differences) == ["not_in_slurmdbd", "reopened"]
    # What Slurm's own repair of runaway jobs does to it.
    sql("UPDATE local_job_table SET time_end = time_start, state = 3 WHERE job_db_inx = %s", rows[1][0])
    centre.cycle()
    found = compared(centre)
    assert sorted(row["kind"] for row in found.differences) == ["less", "not_in_slurmdbd"]
    assert consumed(centre) == before
    missing_keep(
        cluster=centre.cluster,
        seen_gpu_seconds=found.keepable_gpu_seconds,
        reason="restored",
        actor="test",
        adapter=centre.adapter,
    )
    centre.cycle()
    found = compared(centre)
    assert (found.residual_gpu_seconds, found.kept_records, Kept.objects.get().records_count) == (0, 2, 2)
    assert consumed(centre) == before
    sql("DELETE FROM local_job_table WHERE job_db_inx = %s", rows[1][0])
