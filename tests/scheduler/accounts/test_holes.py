"""With the portal bypassed: a researcher with plain sbatch and scontrol, against the limits and the fence.

The wall is what the portal applies: limits on every GPU count, typed and untyped, associations bound to partitions. The
fence (job_submit.lua) refuses early and with words; the wall is also tested without it.
"""

import json
import time

import pytest

from portal.clock import now
from scheduler.clusters.adapters.protocol import AccountingRecord
from tests.scheduler.accounts.conftest import Site
from tests.scheduler.live import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

STUBBORN = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"  # ends only when it is killed
BUDGET_GPU_SECONDS = 480
FORMS = [  # every one of them asks for two GPUs and, were it not held back, would run past the budget
    ["--gres=gpu:h100:2"],
    ["--gres=gpu:2"],
    ["--gpus=2"],
    ["--gpus=h100:2"],
    ["--gpus-per-node=2", "--nodes=1"],
    ["--gpus-per-node=h100:1", "--nodes=2"],
    ["--gpus-per-task=1", "--ntasks=2"],
    ["--gpus-per-task=h100:1", "--ntasks=2"],
    ["--gpus-per-socket=2", "--sockets-per-node=1"],
    ["--gres=gpu:2", "--exclusive"],
]


def records_of(site: Site, job_ids: list[int]) -> list[AccountingRecord]:
    return [row for row in site.adapter.records(job_ids=job_ids) if row.qos]


def test_what_runs_past_a_budget_stays_within_the_published_bound(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs that ignore SIGTERM, asked for in every form, past the fence: the limits alone hold them back."""
    allocation = site.award(gpu_seconds=BUDGET_GPU_SECONDS)
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    options = [*site.place(allocation), "--time=1"]
    answers = [site.slurm.sbatch_unfenced(alice, *options, *form, script=STUBBORN) for form in FORMS]
    job_ids = [int(answer.out) for answer in answers if answer.code == 0]
    assert len(job_ids) >= len(FORMS) - 2, [answer.error for answer in answers]
    most_gpus = 0

    def only_waiting_ones_are_left() -> bool:
        nonlocal most_gpus
        most_gpus = max(most_gpus, site.running(allocation))
        states = {job.state for job in site.adapter.queue() if job.qos == allocation.qos}
        return most_gpus > 0 and states == {"PENDING"}

    wait_for("the budget to be used up", only_waiting_ones_are_left, 180, every_s=1)
    time.sleep(3)  # what would start now that the others ended, starts
    used = sum(sum(row.gpus.values()) * row.elapsed_s for row in records_of(site, job_ids))
    overshoot_s = site.slurm.limit_poll_and_kill_s()
    bound = BUDGET_GPU_SECONDS + most_gpus * overshoot_s + 60
    figures = {
        "budget_gpu_seconds": BUDGET_GPU_SECONDS,
        "used_gpu_seconds": used,
        "excess_gpu_seconds": used - BUDGET_GPU_SECONDS,
        "bound_of_excess_gpu_seconds": bound - BUDGET_GPU_SECONDS,
        "gpus_running": most_gpus,
        "overshoot_s": overshoot_s,
        "longest_job_s": max(row.elapsed_s for row in records_of(site, job_ids)),
    }
    with capsys.disabled():
        print(f"\nholes: {json.dumps(figures)}")
    assert most_gpus * 60 <= BUDGET_GPU_SECONDS  # no job started whose whole time limit did not fit
    assert used <= bound
    waiting = {job.state for job in site.adapter.queue() if job.qos == allocation.qos}
    assert waiting == {"PENDING"}  # the rest never started


def test_an_allocation_of_another_type_or_project_cannot_be_used(site: Site) -> None:
    h100, h200 = site.award("h100"), site.award("h200")
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    account = f"--account={site.account}"

    def refused(*options: str) -> str:
        answer = site.slurm.sbatch_unfenced(alice, "--time=1", *options)
        assert answer.code != 0, answer.out
        return answer.error

    # Another QOS, another partition, no account of mine, CPUs only.
    assert "Invalid qos" in refused(account, "--partition=h100", f"--qos={h200.qos}", "--gres=gpu:2")
    assert "Invalid qos" in refused(account, "--partition=h200", f"--qos={h100.qos}", "--gres=gpu:2")
    assert "Invalid qos" in refused(account, "--partition=h100", "--qos=normal", "--gres=gpu:2")
    place = [account, "--partition=h100", f"--qos={h100.qos}"]
    assert "node configuration" in refused(*place, "--gres=gpu:h200:2")
    assert "QOSMinGRES" in refused(*place)
    assert "QOSMinGRES" in refused(*place, "--gres=gpu:0", "--ntasks=4")
    assert "QOSGrpGRESMinutes" in refused(*place, "--gres=gpu:h100:8", "--time=30")
    bob = site.slurm.researchers[1]
    answer = site.slurm.sbatch_unfenced(bob, *place, "--time=1", "--gres=gpu:h100:1")
    assert "Invalid account or account/partition combination" in answer.error


def test_who_names_no_qos_gets_the_default_allocation(site: Site) -> None:
    """For those who live in ssh: without --qos it is the allocation's of that partition, never `normal`."""
    h100, h200 = site.award("h100"), site.award("h200")
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    for allocation, partition in ((h100, "h100"), (h200, "h200")):
        place = [f"--account={site.account}", f"--partition={partition}"]
        answer = site.slurm.sbatch(alice, *place, f"--gres=gpu:{partition}:1", "--time=1")
        assert answer.code == 0, answer.error
        (job,) = site.adapter.queue(job_ids=[int(answer.out)])
        assert (job.account, job.qos) == (site.account, allocation.qos)


def test_the_fence_refuses_early_and_says_why(site: Site) -> None:
    allocation = site.award()
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    for options, words in (
        (["--gres=gpu:2"], "name the GPU type: partition h100 has h100"),
        (["--gpus=2"], "name the GPU type"),
        (["--gpus-per-task=1", "--ntasks=2"], "name the GPU type"),
        (["--gpus-per-node=1"], "name the GPU type"),
        (["--gres=gpu:h200:1"], "has GPUs of type h100, not h200"),
        ([], "is for GPU jobs: ask for GPUs"),
        (["--gres=gpu:h100:1", "--exclusive"], "--exclusive is not for GPU nodes"),
        (["--gres=gpu:h100:1", "--partition=h100,h200"], "name one partition"),
    ):
        answer = site.slurm.sbatch(alice, *site.place(allocation), "--time=1", *options)
        assert answer.code != 0, options
        assert words in answer.error
        assert "Job violates accounting/QOS policy" in answer.error  # named: the portal knows that no job exists


def test_an_owner_cannot_change_what_the_hold_was_taken_for(site: Site) -> None:
    h100, h200 = site.award("h100"), site.award("h200")
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    asked = ["--gres=gpu:h100:1", "--time=2", "--begin=now+1hour", "--comment=0f8fad5b-d9cb-469f-a165-70867728950e"]
    job_id = int(site.slurm.sbatch(alice, *site.place(h100), *asked).out)

    def shown() -> tuple[object, ...]:
        (job,) = site.adapter.queue(job_ids=[job_id])
        return (job.time_limit_s, job.nodes, job.gpus, job.partition, job.qos, job.account, job.comment)

    before = shown()

    def change(*what: str) -> int:
        return site.slurm.researcher(alice, "scontrol", "update", f"JobId={job_id}", *what).code

    for what in (
        ["TimeLimit=10"],
        ["TimeLimit+=10"],
        ["NumNodes=2"],
        ["NumCPUs=64"],
        ["NumTasks=16"],
        ["TresPerNode=gres:gpu:h100:8"],
        ["TresPerJob=gres:gpu:h100:8"],
        ["Gres=gpu:h100:8"],
        ["Partition=h200", f"QOS={h200.qos}"],
        ["Partition=h200"],
        [f"QOS={h200.qos}"],
        ["Account=root"],
        ["Comment=another"],
        ["OverSubscribe=NO"],
    ):
        assert change(*what) != 0, what
        assert shown() == before, what
    assert change("TimeLimit=1") == 0  # lower, a name, later: what costs nothing is theirs
    assert change("JobName=mine") == 0
    assert change("StartTime=now+2hour") == 0
    assert shown()[0] == 60
    site.slurm.admin("scontrol", "update", f"JobId={job_id}", "TimeLimit=3")  # an administrator's change passes
    assert shown()[0] == 180
    site.adapter.job_hold(job_id=str(job_id), reason="test")
    assert site.slurm.researcher(alice, "scontrol", "release", str(job_id)).code != 0


def test_a_running_job_cannot_be_prolonged_by_its_owner(site: Site) -> None:
    allocation = site.award()
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    answer = site.slurm.sbatch(alice, *site.place(allocation), "--gres=gpu:h100:1", "--time=1", script=STUBBORN)
    wait_for("the job to run", lambda: site.running(allocation) == 1)
    for what in ("TimeLimit=30", f"EndTime={now().replace(year=now().year + 1):%Y-%m-%dT%H:%M:%S}"):
        assert site.slurm.researcher(alice, "scontrol", "update", f"JobId={answer.out.strip()}", what).code != 0
    (job,) = site.adapter.queue(job_ids=[int(answer.out)])
    assert job.time_limit_s == 60
