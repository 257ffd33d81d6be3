"""Fifty mixed real jobs: what Slurm ran is charged to the second, and Slurm's own report says the same."""

import io
import json

import pytest
from django.core.management import call_command
from django.db.models import Sum

from quotas.allocations.selectors import allocation_balances
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import job_cancel, job_submit
from scheduler.settlement.models import HeldJob, Record
from tests.scheduler.settlement.real import real_centre, run

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

SLEEP = "#!/bin/bash\nsleep {}\n"
STUBBORN = "#!/bin/bash\ntrap '' TERM\nwhile :; do sleep 1; done\n"
FAILS = "#!/bin/bash\nsleep {}\nexit 3\n"
# Runs until it was requeued that often, however long that takes on a busy machine; then for three seconds.
REQUEUED = '#!/bin/bash\n[ "${{SLURM_RESTART_COUNT:-0}}" -ge {} ] && exec sleep 3\nsleep 600\n'


@pytest.fixture
def centre(db):
    with real_centre() as made:
        yield made


def submit_all(centre) -> dict[str, list[int]]:
    """The jobs by plain sbatch. Numbers by what shall happen to them."""
    h100 = "--gpus-per-node=h100:1"
    return {
        "timed_out": [centre.sbatch(h100, "--time=1", script=STUBBORN) for _ in range(2)],
        "completed": [centre.sbatch(h100, script=SLEEP.format(1 + n % 4), place=n % 2) for n in range(9)],
        "two_gpus": [centre.sbatch("--gpus=h100:2", script=SLEEP.format(2 + n)) for n in range(3)],
        "failed": [centre.sbatch(h100, script=FAILS.format(n), place=n % 2) for n in range(4)],
        "two_nodes": [centre.sbatch("-N2", "--gpus-per-node=h100:2", script=SLEEP.format(3 + n)) for n in range(3)],
        "h200": [
            centre.sbatch("--gpus-per-node=h200:1", script=SLEEP.format(2 + n), place=1, gpu_type="h200")
            for n in range(3)
        ],
        "untyped": [centre.sbatch("--gpus=2", script=SLEEP.format(3), as_root=True) for _ in range(2)]
        + [centre.sbatch("--gres=gpu:1", script=SLEEP.format(2), as_root=True) for _ in range(2)],
        "arrays": [
            centre.sbatch("--array=1-5%2", h100, script=SLEEP.format(2)),
            centre.sbatch("--array=0-4", h100, script=FAILS.format(1), place=1),
        ],
        "cancelled_array": [centre.sbatch("--array=1-4%1", h100, script=SLEEP.format(600))],
        "cancelled_early": [centre.sbatch(h100, "--begin=now+1hour", script=SLEEP.format(1)) for _ in range(4)],
        "cancelled_late": [centre.sbatch("--gpus-per-node=h100:2", script=SLEEP.format(600)) for _ in range(3)],
        "requeued_twice": [centre.sbatch("--requeue", h100, script=REQUEUED.format(2)) for _ in range(2)],
    }


def submit_through_portal(centre, name: str, seconds: int, *, place: int = 1, script: str = SLEEP) -> Job:
    return job_submit(
        person=centre.people[place],
        project=centre.projects[place],
        allocation=centre.allocations[place, "h100"],
        name=name,
        gpus_per_node=1,
        nodes=1,
        time_limit_s=120,
        script=script.format(seconds),
    )


def requeue(centre, number: int) -> None:
    centre.cycle_until(lambda: centre.is_running(number), within_s=90)
    assert run("scontrol", "requeue", str(number)).returncode == 0


def test_fifty_mixed_jobs_leave_no_residual(centre):
    numbers = submit_all(centre)
    portal = [submit_through_portal(centre, f"portal {n}", 2 + n) for n in range(5)]
    portal_failed = submit_through_portal(centre, "portal fails", 2, script=FAILS)
    portal_cancelled = submit_through_portal(centre, "portal cancelled", 600)
    portal_requeued = submit_through_portal(centre, "portal requeued", 1, script=REQUEUED)
    untyped_refused = run(
        *("sbatch", f"--account={sorted(centre.accounts)[0]}", "--partition=h100", "--gpus=2"),
        stdin=SLEEP.format(1),
        user=centre.people[0].unix_account,
    )
    assert "name the GPU type" in untyped_refused.stderr

    late = numbers["cancelled_late"]
    centre.cycle_until(lambda: all(centre.is_running(number) for number in late), within_s=90)
    assert run("scancel", *map(str, late + numbers["cancelled_early"] + numbers["cancelled_array"])).returncode == 0
    centre.cycle_until(lambda: _state(portal_cancelled) == "running")
    job_cancel(job_id=portal_cancelled.pk, person=centre.people[1])
    portal_requeued.refresh_from_db()
    for number in [*numbers["requeued_twice"], portal_requeued.slurm_job_id]:
        requeue(centre, number)
    for number in numbers["requeued_twice"]:
        requeue(centre, number)
    centre.cycle_until(centre.is_settled, within_s=240)

    out = io.StringIO()
    call_command("reconcile", "--cluster", "local", "--json", stdout=out)
    found = json.loads(out.getvalue().splitlines()[-1])
    assert (found["residual_gpu_seconds"], found["differences"], found["counter_gaps"]) == (0, [], {})
    assert found["charged_gpu_seconds"] == found["slurmdbd_gpu_seconds"] == centre.sreport_gpu_seconds()
    assert found["imported_gpu_seconds"] == 0
    assert found["records"] >= 50

    states = dict(Record.objects.values_list("job_id_raw", "state"))
    assert {states[number] for number in numbers["timed_out"]} == {"TIMEOUT"}
    assert {states[number] for number in numbers["failed"]} == {"FAILED"}
    assert {states[number] for number in late + numbers["cancelled_early"]} == {"CANCELLED"}
    for number in [*numbers["requeued_twice"]]:
        assert Record.objects.filter(job_id_raw=number).count() == 3
        assert Run.objects.filter(job_id_raw=number).values("job").distinct().count() == 1
    for number, tasks in zip(numbers["arrays"], (5, 5), strict=True):
        job = Job.objects.get(slurm_job_id=number)
        assert job.runs.filter(gpus__gt=0).count() == tasks
    assert (
        Record.objects.filter(job_id_raw__in=numbers["untyped"]).values_list("gpu_type", flat=True).distinct().get()
        == "h100"
    )
    assert set(Record.objects.filter(job_id_raw__in=numbers["two_nodes"]).values_list("gpus", flat=True)) == {4}

    assert [_state(job) for job in portal] == ["completed"] * 5
    assert _state(portal_failed) == "failed"
    assert _state(portal_cancelled) == "cancelled"
    assert (_state(portal_requeued), portal_requeued.runs.count()) == ("completed", 2)
    assert not HeldJob.objects.exists()
    balances = allocation_balances([row.pk for row in centre.allocations.values()])
    assert sum(balance.held for balance in balances.values()) == 0
    assert sum(balance.overrun for balance in balances.values()) == 0
    assert sum(balance.consumed for balance in balances.values()) == found["charged_gpu_seconds"]
    assert Run.objects.aggregate(sum=Sum("charged_gpu_seconds"))["sum"] == found["charged_gpu_seconds"]


def _state(job: Job) -> str:
    job.refresh_from_db()
    return job.state
