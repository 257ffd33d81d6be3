"""Slices, the CPU partition and sandboxes by plain sbatch, with the portal bypassed and past the fence: what holds then
is what the plan made in Slurm."""

import pytest

from quotas.programmes.models import Programme
from scheduler.clusters.models import QosRule
from scheduler.clusters.names import cpu_qos
from scheduler.clusters.services import gpu_slice_add, qos_rule_set
from tests.scheduler.accounts.conftest import Site
from tests.scheduler.live import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

SLICE = "h100_1g.10gb"
SLEEP = "#!/bin/sh\nsleep 600\n"


@pytest.fixture
def special(site: Site) -> Site:
    gpu_slice_add(gpu_type=SLICE, parent="h100", parts=1, whole=7)
    qos_rule_set(cluster=site.cluster, kind=QosRule.Kind.CPU, time_limit_s=3_600, jobs=2, queued=3, cpus=4)
    qos_rule_set(cluster=site.cluster, kind=QosRule.Kind.SANDBOX, time_limit_s=600, jobs=2, queued=3, gpus=1)
    return site


def states(site: Site, answers: list) -> list[tuple[str, str]]:
    assert [answer.error for answer in answers if answer.code] == []
    jobs = {job.job_id: job for job in site.adapter.queue(job_ids=[int(answer.out) for answer in answers])}
    return [(jobs[int(answer.out)].state, jobs[int(answer.out)].reason) for answer in answers]


def test_a_slice_uses_its_parents_limit_and_the_cpu_partition_has_no_way_to_gpus(special: Site) -> None:
    site = special
    allocation = site.award(gpu_seconds=600)  # ten GPU-minutes
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    assert site.changes() == []  # read back, slices and CPU partition too
    cpu = cpu_qos(site.cluster)
    members = site.members()
    assert {partition: row.qos for (_user, partition), row in members.items()} == {
        "h100": (allocation.qos,),
        "h100-1g": (allocation.qos,),
        "cpu": (cpu,),
    }
    account = f"--account={site.account}"

    def refused(*options: str, fenced: bool = False) -> str:
        sbatch = site.slurm.sbatch if fenced else site.slurm.sbatch_unfenced
        answer = sbatch(alice, account, "--time=1", *options)
        assert answer.code != 0, answer.out
        return answer.error

    # The CPU partition: no GPU in any form, its QOS nowhere else, a person's CPUs and jobs bounded.
    in_cpu = ["--partition=cpu", f"--qos={cpu}"]
    for form in ("--gres=gpu:1", "--gres=gpu:h100:1", "--gpus=1", f"--gpus={SLICE}:1"):
        assert refused(*in_cpu, form)
        assert "no GPUs" in refused(*in_cpu, form, fenced=True)
    for partition in ("h100", "h100-1g"):
        assert "Invalid qos" in refused(f"--partition={partition}", f"--qos={cpu}", "--gpus=1")
        assert "Invalid qos" in refused(f"--partition={partition}", f"--qos={cpu}")
    assert "Invalid qos" in refused("--partition=cpu", f"--qos={allocation.qos}")
    assert "QOSMaxCpuPerUser" in refused(*in_cpu, "--cpus-per-task=5")
    assert "QOSMaxWall" in refused(*in_cpu, "--time=61")
    jobs = [site.slurm.sbatch(alice, account, *in_cpu, "--time=1", script=SLEEP) for _ in range(4)]
    assert [job.code for job in jobs] == [0, 0, 0, 1]  # three in the queue
    wait_for("two to run", lambda: sorted(states(site, jobs[:3]))[0] == ("PENDING", "QOSMaxJobsPerUserLimit"))
    assert [state for state, _reason in sorted(states(site, jobs[:3]))] == ["PENDING", "RUNNING", "RUNNING"]

    # Slices: whatever their form they count against the same limit, as a whole GPU each.
    slices = ["--partition=h100-1g", f"--qos={allocation.qos}"]
    for form in (f"--gres=gpu:{SLICE}:2", "--gpus=2", f"--gpus-per-node={SLICE}:2"):
        assert "QOSGrpGRESMinutes" in refused(*slices, form, "--time=6")
    assert "has GPUs of type h100_1g.10gb, not h100" in refused(*slices, "--gpus=h100:1", fenced=True)
    assert "name the GPU type" in refused(*slices, "--gpus=1", fenced=True)
    first = site.slurm.sbatch(alice, account, *slices, f"--gpus={SLICE}:1", "--time=6", script=SLEEP)
    wait_for("the slice to run", lambda: states(site, [first])[0][0] == "RUNNING")
    whole = ["--partition=h100", f"--qos={allocation.qos}", "--gpus=h100:1"]
    both = [
        site.slurm.sbatch(alice, account, *whole, "--time=4", script=SLEEP),  # six and four are ten
        # Two more, not one: slurmctld drops the part of a minute of what was used and of what still runs.
        site.slurm.sbatch_unfenced(alice, account, *slices, "--gpus=1", "--time=2", script=SLEEP),
    ]
    wait_for("one of them to run", lambda: states(site, both)[0][0] == "RUNNING")
    wait_for("the other to be held back", lambda: states(site, both)[1] == ("PENDING", "QOSGrpGRESMinutes"))


def test_a_sandbox_is_small_whatever_its_budget(special: Site) -> None:
    site = special
    Programme.objects.filter(pk=site.programme.pk).update(is_sandbox=True)
    site.programme.refresh_from_db()
    allocation = site.award(gpu_seconds=360_000)
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    assert site.changes() == []
    place = site.place(allocation)
    sbatch = site.slurm.sbatch_unfenced
    assert "QOSMaxGRESPerUser" in sbatch(alice, *place, "--gpus=h100:2", "--time=1").error
    assert "QOSMaxGRESPerUser" in sbatch(alice, *place, "--gpus=2", "--time=1").error
    assert "QOSMaxWall" in sbatch(alice, *place, "--gpus=1", "--time=11").error
    jobs = [sbatch(alice, *place, "--gpus=1", "--time=10", script=SLEEP) for _ in range(4)]
    assert [job.code for job in jobs] == [0, 0, 0, 1]
    wait_for("one to run", lambda: "RUNNING" in [state for state, _reason in states(site, jobs[:3])])
    wait_for(
        "the rest to wait",
        lambda: {reason for state, reason in states(site, jobs[:3]) if state == "PENDING"} == {"QOSMaxGRESPerUser"},
    )

    # By hand: seen, and put back.
    site.slurm.admin(
        "sacctmgr",
        "-i",
        "modify",
        "qos",
        "where",
        f"name={allocation.qos}",
        "set",
        "maxtresperuser=gres/gpu=8",
        "maxwall=-1",
    )
    assert {change["field"] for change in site.changes()} == {"max_tres_per_user", "max_wall_minutes"}
    site.cycle()
    assert site.changes() == []
