"""The adapter's contract for jobs, against a live Slurm: submitted as the researcher, read back, held, cancelled."""

from datetime import timedelta
from pathlib import Path

import pytest

from portal.clock import now
from scheduler.clusters.adapters.protocol import (
    AssociationBusy,
    ClusterError,
    SubmissionRefused,
    VerbRefused,
)
from tests.scheduler.clusters.contract.ground import Ground
from tests.scheduler.clusters.contract.watching import SLEEPER, final, queued, running
from tests.scheduler.live import wait_for

pytestmark = pytest.mark.slurm


def test_a_job_is_submitted_as_the_researcher_and_read_back(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "must-not-leak")
    monkeypatch.setenv("DATABASE_URL", "must-not-leak")
    srun = f"{ground.slurm.how['bin_dir']}/srun"
    script = (
        "#!/bin/bash\nexport SLURM_EXPORT_ENV=ALL\nOURS=1; export OURS\nid -un\npwd\nenv | sort\necho ---\n"
        f"{srun} sh -c 'echo PATH=$PATH; echo OURS=$OURS; echo CUDA=$CUDA_VISIBLE_DEVICES'\n"
    )
    asked = ground.request(name="huấn luyện 1", script=script, gpus_per_node=2, time_limit_s=120)
    before = now() - timedelta(seconds=2)
    job_id = ground.adapter.submit(asked)
    job = queued(ground, job_id)
    assert (job.user, job.account, job.qos, job.comment) == (
        ground.alice,
        ground.project,
        ground.h100,
        str(asked.key),
    )
    assert (job.name, job.partition, job.time_limit_s, job.nodes) == ("huấn luyện 1", "h100", 120, 1)
    assert (job.gpus, job.array_job_id, job.array_task_count) == ({"h100": 2}, None, 1)
    assert before <= job.submit_at <= now()
    (record,) = final(ground, job_id)
    assert (record.state, record.user, record.account, record.qos) == (
        "COMPLETED",
        ground.alice,
        ground.project,
        ground.h100,
    )
    assert (record.gpus, record.comment, record.submit_at) == ({"h100": 2}, str(asked.key), job.submit_at)
    assert record.end_at - record.start_at == timedelta(seconds=record.elapsed_s)
    output = Path(ground.slurm.home(ground.alice), "saola/jobs", str(asked.key), f"slurm-{job_id}.out").read_text()
    outside, inside = output.split("---\n")
    assert outside.splitlines()[:2] == [ground.alice, ground.slurm.home(ground.alice)]
    assert "must-not-leak" not in output
    assert not [line for line in outside.splitlines() if line.startswith(("DJANGO", "SAOLA", "REDIS", "SUDO_"))]
    assert "OURS=1" in inside
    assert "/usr/bin" in inside.splitlines()[0]
    assert len(inside.splitlines()[2].removeprefix("CUDA=").split(",")) == 2


def test_two_nodes_are_two_nodes(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(nodes=2, gpus_per_node=4))
    (record,) = final(ground, job_id)
    assert (record.nodes, record.gpus) == (2, {"h100": 8})


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"account": "no-such-account"}, "invalid_account"),
        ({"qos": "no-such-qos"}, "invalid_qos"),
        ({"qos": "h200"}, "invalid_qos"),  # the project's other QOS, not of this partition
        ({"partition": "no-such-partition"}, "invalid_partition"),
        ({"partition": "h200"}, "qos_limit"),  # the fence: h100 asked for in the h200 partition
        ({"time_limit_s": 3 * 86_400}, "time_limit"),
        ({"nodes": 4}, "node_count"),
        ({"gpus_per_node": 9}, "node_configuration"),
        ({"time_limit_s": 61}, "request"),
        ({"script": "#!/bin/bash\n#SBATCH --array=1-9\nid\n"}, "script"),
        ({"unix_account": "nobody-here"}, "invalid_user"),
        ({"unix_account": "#0"}, "user"),
        ({"unix_account": "-u"}, "user"),
        ({"array": "1-9 --uid=0"}, "request"),
    ],
    ids=str,
)
def test_a_named_refusal_is_told_apart(ground: Ground, changed: dict[str, object], code: str) -> None:
    if changed.get("qos") == "h200":
        changed = {"qos": ground.h200}
    with pytest.raises(SubmissionRefused) as refusal:
        ground.adapter.submit(ground.request(**changed))
    assert refusal.value.code == code


def test_a_job_above_the_whole_budget_is_refused_at_submission(ground: Ground) -> None:
    ground.limit(ground.h200, "h200", 30)
    try:
        with pytest.raises(SubmissionRefused) as refusal:
            ground.adapter.submit(
                ground.request(qos=ground.h200, partition="h200", gpu_type="h200", gpus_per_node=4, time_limit_s=8 * 60)
            )
        assert refusal.value.code == "qos_limit"
        assert "QOSGrpGRESMinutes" in refusal.value.message
    finally:
        ground.limit(ground.h200, "h200", 10_000)


def test_a_start_is_estimated_and_nothing_is_submitted(ground: Ground) -> None:
    whole = {"qos": ground.h200, "partition": "h200", "gpu_type": "h200", "gpus_per_node": 8}
    busy = running(ground, ground.adapter.submit(ground.request(**whole, script=SLEEPER, time_limit_s=600)))
    asked = [
        ground.request(**whole),
        ground.request(partition="no-such-partition"),
        ground.request(time_limit_s=61),
        ground.request(**whole | {"gpus_per_node": 1}, script="#!/bin/bash\n#SBATCH --array=1-9\n"),
    ]
    after, *refused = ground.adapter.starts_estimate(asked)
    assert busy.start_at is not None
    assert timedelta(0) <= after - (busy.start_at + timedelta(seconds=600)) < timedelta(minutes=2)
    assert [refusal.code for refusal in refused] == ["invalid_partition", "request", "script"]
    ground.adapter.cancel(job_id=busy.job_id, unix_account=ground.alice)
    keys = {str(one.key) for one in asked}
    assert not [job for job in ground.adapter.queue() if job.comment in keys]
    assert not keys & {path.name for path in Path(ground.slurm.home(ground.alice), "saola/jobs").iterdir()}
    # On the same node: elsewhere jobs of other tests may stand for as long.
    (soon,) = ground.adapter.starts_estimate([ground.request(**whole | {"gpus_per_node": 1}, time_limit_s=60)])
    assert soon < after


def test_a_comment_with_separators_and_newlines_stays_one_record(ground: Ground) -> None:
    comment, name = "a|b\n\x1f1234\x1f c\n\n", 'we|ird "n"'
    answer = ground.slurm.sbatch(
        ground.alice, *ground.place(), "--gres=gpu:h100:1", "--time=1", f"--comment={comment}", f"--job-name={name}"
    )
    job_id = int(answer.out)
    job = queued(ground, job_id)
    assert (job.comment.strip(), job.name, job.user) == (comment.strip(), name, ground.alice)
    (record,) = final(ground, job_id)
    assert record.comment.strip() == comment.strip()


def test_arrays_are_one_line_until_their_tasks_start(ground: Ground) -> None:
    answer = ground.slurm.sbatch(
        ground.alice, *ground.place(), "--gres=gpu:h100:1", "--time=1", "--array=3-9:2%1", script=SLEEPER
    )
    array_id = int(answer.out)
    wait_for("the first task", lambda: [j for j in ground.adapter.queue(job_ids=[array_id]) if j.state == "RUNNING"])
    lines = {job.state: job for job in ground.adapter.queue(job_ids=[array_id])}
    assert (lines["RUNNING"].array_job_id, lines["RUNNING"].array_tasks, lines["RUNNING"].array_task_count) == (
        array_id,
        "3",
        1,
    )
    assert (lines["PENDING"].job_id, lines["PENDING"].array_tasks, lines["PENDING"].array_task_count) == (
        array_id,
        "5,7,9%1",
        3,
    )
    assert {job.job_id for job in ground.adapter.queue(job_ids=[array_id])} == {array_id, lines["RUNNING"].job_id}
    ground.forget_jobs()


def test_a_het_jobs_components_name_the_first(ground: Ground) -> None:
    place = [*ground.place(), "--time=1", "--gres=gpu:h100:1"]
    answer = ground.slurm.sbatch(ground.alice, *place, "--hold", ":", *place)
    first = int(answer.out)
    components = [job for job in ground.adapter.queue() if job.het_job_id == first]
    assert len(components) == 2
    ground.forget_jobs()


def test_a_requeue_makes_a_second_record_with_another_submit_time(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(script=SLEEPER))
    first = running(ground, job_id)
    wait_for("a second of run time", lambda: now() - first.start_at > timedelta(seconds=2), 10)
    ground.slurm.admin("scontrol", "requeue", str(job_id))
    again = wait_for(
        "the second run",
        lambda: next((j for j in ground.adapter.queue(job_ids=[job_id]) if j.restarts and j.state == "RUNNING"), None),
        180,
    )
    assert again.submit_at > first.submit_at
    wait_for("a second of the second run", lambda: now() - again.start_at > timedelta(seconds=2), 10)
    ground.adapter.cancel(job_id=job_id, unix_account=ground.alice)
    runs = final(ground, job_id, runs=2)
    assert {run.submit_at for run in runs} == {first.submit_at, again.submit_at}
    assert all(run.gpus == {"h100": 1} and run.elapsed_s > 0 for run in runs)


def test_ended_and_unknown_jobs_by_id(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(script="#!/bin/bash\ntrue\n"))
    final(ground, job_id)
    assert job_id not in {job.job_id for job in ground.adapter.queue()}
    assert [job.state for job in ground.adapter.queue(job_ids=[job_id, 60_000_000])] == ["COMPLETED"]
    assert ground.adapter.queue(job_ids=[60_000_000]) == []
    assert list(ground.adapter.records(job_ids=[60_000_000])) == []


def test_records_of_a_window(ground: Ground) -> None:
    began = now()
    job_id = ground.adapter.submit(ground.request(script="#!/bin/bash\ntrue\n"))
    final(ground, job_id)
    recent = ground.adapter.records(since=began - timedelta(seconds=5), until=now() + timedelta(seconds=5))
    assert job_id in {record.job_id_raw for record in recent}
    past = ground.adapter.records(since=began - timedelta(days=2), until=began - timedelta(days=1))
    assert job_id not in {record.job_id_raw for record in past}


# ---- cancelling, holding


def test_a_researcher_cancels_only_own_jobs(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(script=SLEEPER))
    with pytest.raises(ClusterError):
        ground.adapter.cancel(job_id=job_id, unix_account=ground.bob)
    assert queued(ground, job_id).state in {"PENDING", "RUNNING"}
    ground.adapter.cancel(job_id=job_id, unix_account=ground.alice)
    assert final(ground, job_id)[0].state == "CANCELLED"
    ground.adapter.cancel(job_id=job_id, unix_account=ground.alice)  # again: nothing
    ground.adapter.cancel(job_id=60_000_000, unix_account=ground.alice)


def test_the_worker_holds_releases_and_cancels_with_a_reason(ground: Ground) -> None:
    answer = ground.slurm.sbatch(ground.alice, *ground.place(), "--gres=gpu:h100:1", "--time=1", "--begin=now+1hour")
    job_id = answer.out.strip()
    ground.adapter.job_hold(job_id=job_id, reason="not covered: 60 GPU-seconds missing")
    assert queued(ground, int(job_id)).reason == "JobHeldAdmin"
    assert "not covered" in ground.slurm.researcher(ground.alice, "scontrol", "show", "job", job_id).out
    assert ground.slurm.researcher(ground.alice, "scontrol", "release", job_id).code != 0
    ground.adapter.job_release(job_id=job_id)
    wait_for("the release", lambda: queued(ground, int(job_id)).reason != "JobHeldAdmin")
    ground.adapter.job_cancel_as_admin(job_id=job_id, reason="changed after submission; see the portal's page")
    assert final(ground, int(job_id))[0].state == "CANCELLED"
    ground.adapter.job_cancel_as_admin(job_id=job_id, reason="again")


def test_a_cancellation_of_what_waits_leaves_what_runs(ground: Ground) -> None:
    begun = ground.adapter.submit(ground.request(script=SLEEPER))
    running(ground, begun)
    place = (*ground.place(), "--gres=gpu:h100:1", "--time=1", "--begin=now+1hour")
    waits = ground.slurm.sbatch(ground.alice, *place).out.strip()
    for job_id in (str(begun), waits):
        ground.adapter.job_cancel_as_admin(job_id=job_id, reason="its allocation is expired", pending_only=True)
    assert final(ground, int(waits))[0].state == "CANCELLED"
    assert queued(ground, begun).state == "RUNNING"
    ground.adapter.cancel(job_id=begun, unix_account=ground.alice)


def test_an_association_with_a_running_job_is_busy_and_can_be_blocked(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(unix_account=ground.bob, script=SLEEPER))
    running(ground, job_id)
    place = {"account": ground.project, "user": ground.bob, "partition": "h100"}
    with pytest.raises(AssociationBusy):
        ground.adapter.association_remove(**place)
    ground.adapter.association_block(**place)
    try:
        with pytest.raises(SubmissionRefused) as refusal:
            ground.adapter.submit(ground.request(unix_account=ground.bob))
        assert refusal.value.code == "qos_limit"
        assert queued(ground, job_id).state == "RUNNING"
    finally:
        ground.adapter.association_unblock(**place)
        ground.forget_jobs()


BUSY = """#!/bin/bash
echo "$PWD $SLURM_SUBMIT_DIR"
echo 0.5 > "$SLURM_SUBMIT_DIR/loss.txt"
python3 -c 'x = bytearray(200 << 20); y = sum(range(30_000_000))'
"""


def test_what_a_job_wrote_and_used_is_read_back(ground: Ground) -> None:
    asked = ground.request(script=BUSY, nodes=2)
    job_id = ground.adapter.submit(asked)
    final(ground, job_id)
    home = ground.slurm.home(ground.alice)
    own = {"key": asked.key, "unix_account": ground.alice}
    log = ground.adapter.output_tail(**own, job_id=job_id, limit_bytes=1_000)
    assert log.data.decode() == f"{home} {home}/saola/jobs/{asked.key}\n"
    listing = ground.adapter.output_list(**own)
    assert [one.path for one in listing.entries] == [("loss.txt",), (f"slurm-{job_id}.out",)]
    assert ground.adapter.output_read(**own, path=["loss.txt"]) == b"0.5\n"
    # slurmctld sends the steps' figures after the job's end.
    used = wait_for("the job's figures", lambda: [one for one in ground.adapter.usage(job_ids=[job_id]) if one.cpu_s])[
        0
    ]
    assert (used.job_id_raw, used.cpus) == (job_id, 16)
    assert (used.nodes, used.nodes_used) == (2, 1)  # nothing was started on the other one
    assert 0 < used.cpu_s < used.cpus * (used.elapsed_s + 1)
    assert used.memory_bytes is not None
    assert used.memory_bytes > 10 * 2**30


def test_a_researcher_holds_releases_and_requeues_own_jobs(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(script="#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 60\n"))
    with pytest.raises(VerbRefused):
        ground.adapter.control(verb="hold", job_id=job_id, unix_account=ground.bob)
    ground.adapter.control(verb="hold", job_id=job_id, unix_account=ground.alice)
    assert queued(ground, job_id).reason == "JobHeldUser"
    ground.adapter.control(verb="release", job_id=job_id, unix_account=ground.alice)
    assert queued(ground, job_id).reason != "JobHeldUser"
    with pytest.raises(VerbRefused):  # it does not run
        ground.adapter.control(verb="requeue", job_id=job_id, unix_account=ground.alice)
    ground.adapter.cancel(job_id=job_id, unix_account=ground.alice)


def test_the_worker_extends_a_running_job_and_sees_what_it_reserves(ground: Ground) -> None:
    job_id = ground.adapter.submit(ground.request(script=SLEEPER, time_limit_s=600))
    before = wait_for("the job", lambda: [j for j in ground.adapter.queue(job_ids=[job_id]) if j.state == "RUNNING"])
    reserved = ground.adapter.qos_usage([ground.h100])[ground.h100].running_minutes
    ground.adapter.job_time_limit_set(job_id=job_id, time_limit_s=1_200)
    assert queued(ground, job_id).time_limit_s == 1_200
    gpus = sum(before[0].gpus.values())
    assert ground.adapter.qos_usage([ground.h100])[ground.h100].running_minutes == reserved + 10 * gpus
    ground.adapter.cancel(job_id=job_id, unix_account=ground.alice)
    with pytest.raises(VerbRefused):
        ground.adapter.job_time_limit_set(job_id=60_000_000, time_limit_s=600)
