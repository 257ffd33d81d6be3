"""Jobs from outside the portal on the real Slurm: held for when they start; waiting jobs of the portal give way."""

import pytest

from portal.outbox.models import Message
from quotas.allocations.selectors import allocation_balances
from scheduler.jobs.models import Job
from scheduler.jobs.services import job_submit
from scheduler.settlement.models import HeldJob
from scheduler.settlement.services import reconcile
from tests.scheduler.settlement.real import real_centre, run

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

SLEEP = "#!/bin/bash\nsleep 600\n"


@pytest.fixture
def centre(db):
    with real_centre(gpu_hours=1) as made:
        yield made


def test_a_started_job_takes_the_hold_of_a_waiting_one_which_goes_on_when_it_can(centre):
    allocation = centre.allocations[0, "h100"]
    waiting = job_submit(
        person=centre.people[0],
        project=centre.projects[0],
        allocation=allocation,
        name="waits",
        gpus_per_node=1,
        nodes=1,
        time_limit_s=2_400,
        script="#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 1\n",
    )
    centre.cycle_until(lambda: _fresh(waiting).state == "pending")
    assert _balance(allocation).held == 2_460

    started = centre.sbatch("--gpus-per-node=h100:1", "--time=30", script=SLEEP)
    centre.cycle_until(lambda: centre.is_running(started))
    centre.cycle_until(lambda: _line(centre, waiting).reason == "JobHeldAdmin")
    assert Job.objects.get(slurm_job_id=started).origin == "outside"
    assert _balance(allocation).held == 1_860
    assert Message.objects.filter(topic="mail.send", payload__to=[centre.people[0].email]).count() == 1

    assert run("scancel", str(started)).returncode == 0
    centre.cycle_until(lambda: not HeldJob.objects.exists() and _line(centre, waiting).reason != "JobHeldAdmin")
    assert _balance(allocation).held == 2_460
    assert _fresh(waiting).state == "pending"

    assert run("scancel", str(waiting.slurm_job_id)).returncode == 0
    centre.cycle_until(centre.is_settled)
    assert (_fresh(waiting).state, _balance(allocation).held) == ("cancelled", 0)
    found = reconcile(cluster=centre.cluster)
    assert (found.residual_gpu_seconds, found.overrun_gpu_seconds) == (0, 0)
    assert found.charged_gpu_seconds == _balance(allocation).consumed > 0


def test_a_requeue_that_the_balance_does_not_reach_waits_in_slurm(centre):
    allocation = centre.allocations[0, "h100"]
    job = job_submit(
        person=centre.people[0],
        project=centre.projects[0],
        allocation=allocation,
        name="requeued",
        gpus_per_node=1,
        nodes=1,
        time_limit_s=1_800,
        script=SLEEP,
    )
    centre.cycle_until(lambda: _fresh(job).state == "running")
    # It runs with its own 1,860; this one takes most of the rest, so that a second run does not fit beside it.
    other = centre.sbatch("--gpus-per-node=h100:1", "--time=28", script=SLEEP)
    centre.cycle_until(lambda: centre.is_running(other) and _balance(allocation).held == 1_860 + 1_740)
    assert run("scontrol", "requeue", str(job.slurm_job_id)).returncode == 0
    centre.cycle_until(lambda: HeldJob.objects.exists() and _line(centre, job).reason == "JobHeldAdmin")
    assert _balance(allocation).held == 1_740
    assert run("scancel", str(other)).returncode == 0
    centre.cycle_until(lambda: _fresh(job).state == "running", within_s=150)
    assert not HeldJob.objects.exists()
    assert run("scancel", str(job.slurm_job_id)).returncode == 0
    centre.cycle_until(centre.is_settled)
    assert reconcile(cluster=centre.cluster).residual_gpu_seconds == 0
    assert _fresh(job).runs.count() == 2


def _fresh(job: Job) -> Job:
    job.refresh_from_db()
    return job


def _line(centre, job: Job):
    return centre.line(job.slurm_job_id)


def _balance(allocation):
    return allocation_balances([allocation.pk])[allocation.pk]
