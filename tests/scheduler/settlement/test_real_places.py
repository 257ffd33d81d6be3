"""Through the portal on the real Slurm: a slice, data preparation, a reservation; charged, compared, counted."""

import pytest

from quotas.allocations.selectors import allocation_balances
from scheduler.accounts.models import LimitReading
from scheduler.accounts.services import plan_make
from scheduler.clusters.models import QosRule
from scheduler.clusters.names import account_name, cpu_qos
from scheduler.clusters.services import gpu_slice_add, qos_rule_set
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job
from scheduler.jobs.services import job_submit
from scheduler.settlement.models import Record
from scheduler.settlement.services import reconcile
from tests.scheduler.live import LiveSlurm, own_name
from tests.scheduler.settlement.real import Centre, real_centre

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

SLICE = "h100_1g.10gb"
SLEEP = "#!/bin/bash\nsleep 5\n"


@pytest.fixture
def centre(db):
    gpu_slice_add(gpu_type=SLICE, parent="h100", parts=1, whole=7)
    with real_centre() as made:
        qos_rule_set(cluster=made.cluster, kind=QosRule.Kind.CPU, time_limit_s=3_600, jobs=4, queued=8, cpus=8)
        made.cycle_until(lambda: not plan_make(cluster=made.cluster, adapter=made.adapter).changes)
        yield made
    # Its name is the prefix's: the next centre would take one that it did not make for somebody else's.
    LiveSlurm().admin("sacctmgr", "-i", "delete", "qos", cpu_qos(made.cluster))


@pytest.fixture
def reservation(centre):
    """Node gpu003 for the first project, as an operator makes it."""
    slurm, name = LiveSlurm(), own_name("res")
    account = account_name(centre.cluster, centre.projects[0].slug)
    words = ["StartTime=now", "Duration=30", "Nodes=gpu003", f"Accounts={account}", "Flags=IGNORE_JOBS"]
    slurm.admin("scontrol", "create", "reservation", f"ReservationName={name}", *words)
    yield name
    slurm.root.ask("scontrol", "delete", f"ReservationName={name}")


def submit(centre: Centre, place: int = 0, **changed) -> Job:
    wanted = {"name": "thử", "gpus_per_node": 1, "nodes": 1, "time_limit_s": 300, "script": SLEEP}
    return job_submit(
        person=centre.people[place],
        project=centre.projects[place],
        allocation=centre.allocations[place, "h100"],
        **(wanted | changed),
    )


def test_a_slice_data_preparation_and_a_reservation(centre, reservation):
    centre.cycle()  # the reservation is seen
    free = allocation_balances([centre.allocations[0, "h100"].pk])
    jobs = {
        "slice": submit(centre, partition="h100-1g", gpus_per_node=14),
        "cpu": submit(centre, partition="cpu", cpus_per_node=3),
        "reserved": submit(centre, reservation=reservation),
        "whole": submit(centre),
    }
    held = allocation_balances([centre.allocations[0, "h100"].pk])[centre.allocations[0, "h100"].pk].held
    assert held == (14 + 1 + 1) * (300 + centre.cluster.overshoot_s)  # nothing for the job without GPUs
    with pytest.raises(JobRefused, match="đặt trước"):
        submit(centre, 1, reservation=reservation)
    stranger = LiveSlurm().sbatch(
        centre.people[1].unix_account,
        *(f"--account={account_name(centre.cluster, centre.projects[1].slug)}", "--partition=h100", "--time=1"),
        *(f"--qos={centre.allocations[1, 'h100'].qos}", "--gpus=h100:1", f"--reservation={reservation}"),
    )
    assert "Requested reservation is invalid" in stranger.error or "Access denied" in stranger.error, stranger
    centre.cycle_until(centre.is_settled)
    for job in jobs.values():
        job.refresh_from_db()
        assert job.state == Job.State.COMPLETED, (job.name, job.partition, job.reason)
    records = {row.job_id_raw: row for row in Record.objects.filter(cluster=centre.cluster)}
    of = {what: records[job.slurm_job_id] for what, job in jobs.items()}
    assert (of["slice"].gpu_type, of["slice"].gpus) == (SLICE, 14)
    counted = 14 * of["slice"].elapsed_s
    assert of["slice"].charged_gpu_seconds == -(-counted // 7)
    assert (of["cpu"].gpus, of["cpu"].charged_gpu_seconds, of["cpu"].qos) == (0, 0, cpu_qos(centre.cluster))
    assert of["cpu"].elapsed_s >= 4
    assert of["reserved"].charged_gpu_seconds == of["reserved"].elapsed_s
    nodes = centre.adapter.queue(job_ids=[jobs["reserved"].slurm_job_id])
    assert nodes == [] or nodes[0].gpus in ({}, {"h100": 1})
    allocation = centre.allocations[0, "h100"]
    balance = allocation_balances([allocation.pk])[allocation.pk]
    assert (balance.held, balance.consumed) == (0, sum(row.charged_gpu_seconds for row in of.values()))
    assert free[allocation.pk].granted == balance.granted
    # Slurm counted whole GPUs: its limit stands higher by what nobody paid, and no gap is seen.
    centre.cycle()
    reading = LimitReading.objects.get(cluster=centre.cluster, qos=allocation.qos)
    assert reading.counter_gap_gpu_seconds == 0
    uncharged = counted - of["slice"].charged_gpu_seconds
    assert uncharged >= 60
    assert reading.read_minutes == (balance.granted + uncharged) // 60
    found = reconcile(cluster=centre.cluster, adapter=centre.adapter)
    assert (found.residual_gpu_seconds, found.differences, found.counter_gaps) == (0, [], {})
