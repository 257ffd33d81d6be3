"""Slices, data preparation, sandboxes and reservations in the preflight, the form and what is submitted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.clock import now
from quotas.allocations.selectors import allocation_balances
from quotas.programmes.models import Programme
from scheduler.clusters.models import Partition, QosRule, Reservation
from scheduler.clusters.names import account_name
from scheduler.clusters.qos_rules import PersonLimits
from scheduler.clusters.services import gpu_slice_add, qos_rule_set
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job
from scheduler.jobs.preflight import PartitionLimits, preflight
from scheduler.jobs.script import script_check
from scheduler.jobs.shell import line_of_job
from scheduler.jobs.special import Special, Window
from scheduler.jobs.worker import submission
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.test_preflight import FACTS, H100, HOUR_S, SHAPE

SLICE = "h100_1g.10gb"
PART = PartitionLimits("h100-1g", True, 1, 14, 48 * HOUR_S, gpu_type=SLICE, share="1/7")
CPU = PartitionLimits("cpu", True, 2, 0, 48 * HOUR_S, cpus_per_node=64)
NOON = datetime(2026, 6, 1, 5, tzinfo=UTC)
LIMITS = PersonLimits(4 * HOUR_S, jobs=2, queued=4, cpus=16, gpus=1)
ALL = replace(FACTS, partitions=(CPU, H100, PART), special=Special(cpu=LIMITS, moment=NOON))


def codes(shape, facts, partition=""):
    return [(one.code, one.field) for one in preflight(shape, facts, partition).problems]


def test_the_portal_takes_whole_gpus_unless_asked():
    verdict = preflight(SHAPE, ALL)
    assert (verdict.partition, verdict.share, verdict.cost_gpu_seconds) == ("h100", "", 2 * HOUR_S)


@given(gpus=st.integers(1, 14), minutes=st.integers(1, 600))
def test_a_slice_is_held_as_a_gpu_and_costs_its_share(gpus, minutes):
    shape = replace(SHAPE, gpus_per_node=gpus, time_limit_s=minutes * 60)
    verdict = preflight(shape, ALL, "h100-1g")
    assert verdict.hold_gpu_seconds == gpus * (minutes * 60 + 60)
    assert 0 <= verdict.cost_gpu_seconds * 7 - gpus * minutes * 60 < 7
    assert verdict.fits == (verdict.hold_gpu_seconds <= FACTS.free_gpu_seconds)


def test_preparing_data_costs_nothing_and_has_bounds():
    shape = replace(SHAPE, cpus_per_node=8)
    verdict = preflight(shape, replace(ALL, free_gpu_seconds=0), "cpu")
    assert (verdict.fits, verdict.is_free, verdict.cost_gpu_seconds) == (True, True, 0)
    assert verdict.longest_s == 4 * HOUR_S
    assert codes(replace(shape, cpus_per_node=17), ALL, "cpu") == [("cpus", "cpus_per_node")]
    assert codes(replace(shape, cpus_per_node=9, nodes=2), ALL, "cpu") == [("cpus", "cpus_per_node")]
    assert codes(replace(shape, nodes=0), ALL, "cpu") == [("no_node", "nodes")]
    assert codes(replace(shape, time_limit_s=5 * HOUR_S), ALL, "cpu") == [("person_time", "time_limit")]


def test_a_sandbox_is_small():
    facts = replace(ALL, special=Special(sandbox=LIMITS))
    assert codes(replace(SHAPE, gpus_per_node=1), facts) == []
    assert codes(SHAPE, facts) == [("sandbox_gpus", "gpus_per_node")]
    assert codes(replace(SHAPE, gpus_per_node=1, time_limit_s=5 * HOUR_S), facts) == [("person_time", "time_limit")]


def test_a_reservation_ends():
    window = Window("tdx", "h100", NOON - timedelta(hours=1), NOON + timedelta(hours=2))
    special = Special(windows=(window,), asked_window="tdx", moment=NOON)
    assert codes(SHAPE, replace(ALL, special=special)) == []
    assert codes(replace(SHAPE, time_limit_s=2 * HOUR_S), replace(ALL, special=special)) == []
    late = preflight(replace(SHAPE, time_limit_s=2 * HOUR_S + 60), replace(ALL, special=special)).problems
    assert [(one.code, one.fixes[0].value) for one in late] == [("reservation_time", "2h")]
    assert codes(SHAPE, replace(ALL, special=special), "h100-1g") == [("reservation", "reservation")]
    assert codes(SHAPE, replace(ALL, special=replace(special, asked_window="x"))) == [("reservation", "reservation")]


# --- with the database --------------------------------------------------------------------------------------------


@pytest.fixture
def places(cluster):
    gpu_slice_add(gpu_type=SLICE, parent="h100", parts=1, whole=7)
    qos_rule_set(cluster=cluster, kind=QosRule.Kind.CPU, time_limit_s=12 * HOUR_S, jobs=4, queued=20, cpus=16)
    common = {"cluster": cluster, "nodes": 1, "max_time_s": 48 * HOUR_S, "read_at": now()}
    Partition.objects.create(name="h100-1g", gpu_type=SLICE, gpus_per_node=14, cpus_per_gpu=4, **common)
    Partition.objects.create(name="cpu", cpus_per_node=64, **common)


@pytest.fixture
def reservation(cluster, allocation):
    return Reservation.objects.create(
        cluster=cluster,
        name="tdx",
        starts_at=now() - timedelta(hours=1),
        ends_at=now() + timedelta(hours=3),
        accounts=[account_name(cluster, allocation.project.slug)],
        read_at=now(),
    )


def test_a_slice_is_submitted_under_its_parents_qos(submitter, allocation, places, slurm):
    job = submit(submitter, allocation, partition="h100-1g", gpus_per_node=3)
    assert (job.gpu_type, job.partition, job.runs.get().held_gpu_seconds) == (SLICE, "h100-1g", 3 * (HOUR_S + 60))
    assert f"#SBATCH --gres=gpu:{SLICE}:3" in job.script
    submission.attempt(job_id=job.pk, number=1, adapter=slurm)
    (request,) = slurm.requests
    assert (request.qos, request.gpu_type, request.gpus_per_node) == (allocation.qos, SLICE, 3)


def test_data_is_prepared_without_a_hold(submitter, allocation, places, slurm):
    job = submit(submitter, allocation, partition="cpu", cpus_per_node=8)
    assert (job.is_cpu, job.gpus, job.qos) == (True, 0, "sl-cpu")
    assert (job.runs.get().hold, allocation_balances([allocation.pk])[allocation.pk].held) == (None, 0)
    assert "#SBATCH --cpus-per-task=8" in job.script
    assert "--gres" not in job.script
    assert line_of_job(job) == (
        f"sbatch --account={account_name(job.cluster, job.project.slug)} --partition=cpu --qos=sl-cpu --nodes=1"
        " --cpus-per-task=8 --time=01:00:00 job.sh"
    )
    submission.attempt(job_id=job.pk, number=1, adapter=slurm)
    (request,) = slurm.requests
    assert (request.qos, request.gpu_type, request.gpus_per_node, request.cpus_per_node) == ("sl-cpu", "", 0, 8)
    job.refresh_from_db()
    assert job.state == Job.State.PENDING
    with pytest.raises(JobRefused, match="dành cho GPU"):
        submit(submitter, allocation, partition="cpu", preset="hello-gpu", script="")


def test_a_reservation_is_for_those_it_names(submitter, allocation, reservation, slurm):
    job = submit(submitter, allocation, reservation="tdx")
    assert "#SBATCH --reservation=tdx" in job.script
    submission.attempt(job_id=job.pk, number=1, adapter=slurm)
    assert slurm.requests[0].reservation == "tdx"
    assert [one.code for one in script_check("#!/bin/bash\n#SBATCH --reservation=tdx\ntrue\n")] != []
    for changed in ({"accounts": ["sl-other"]}, {"users": ["hoa"]}, {"is_maintenance": True}, {"ends_at": now()}):
        Reservation.objects.filter(pk=reservation.pk).update(**{"accounts": reservation.accounts} | changed)
        with pytest.raises(JobRefused, match="đặt trước"):
            submit(submitter, allocation, reservation="tdx")
        Reservation.objects.filter(pk=reservation.pk).update(
            accounts=reservation.accounts, users=[], is_maintenance=False, ends_at=reservation.ends_at
        )


def test_the_form_offers_what_there_is_for_this_person(client_of, submitter, allocation, places, reservation):
    page = client_of(submitter).get("/jobs/new/").content.decode()
    for text in ("h100-1g · 1 × 14", "1/7", 'value="cpu"', 'value="tdx"'):
        assert text in page
    Reservation.objects.update(accounts=["sl-other"])
    QosRule.objects.all().delete()
    page = client_of(submitter).get("/jobs/new/").content.decode()
    assert 'value="tdx"' not in page
    assert 'value="cpu"' not in page


def test_a_sandbox_is_said_and_kept(submitter, allocation, client_of):
    Programme.objects.update(is_sandbox=True)
    allocation.refresh_from_db()
    with pytest.raises(JobRefused, match="thử nghiệm"):
        submit(submitter, allocation)
    assert submit(submitter, allocation, gpus_per_node=1).gpus == 1
    assert "thử nghiệm" in client_of(submitter).get("/jobs/new/").content.decode()
