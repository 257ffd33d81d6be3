"""What every adapter must do, against a real Slurm, with the rights of the portal's worker and no more.

The contract is `protocol.ClusterAdapter`: another adapter passes the same tests.
"""

import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from portal.clock import now
from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import (
    AccountingRecord,
    AssociationBusy,
    ClusterError,
    ClusterUnreachable,
    QueueJob,
    SubmissionRefused,
)
from tests.scheduler.clusters.conftest import Ground
from tests.scheduler.live import wait_for

pytestmark = pytest.mark.slurm
SLEEPER = "#!/bin/bash\nexport SLURM_EXPORT_ENV=ALL\nsleep 120\n"


def queued(ground: Ground, job_id: int) -> QueueJob:
    return wait_for(f"job {job_id}", lambda: next(iter(ground.adapter.queue(job_ids=[job_id])), None))


def running(ground: Ground, job_id: int) -> QueueJob:
    wait_for(f"job {job_id} to run", lambda: queued(ground, job_id).state == "RUNNING")
    return queued(ground, job_id)


def records_of(ground: Ground, job_id: int) -> list[AccountingRecord]:
    return [record for record in ground.adapter.records(job_ids=[job_id]) if record.job_id_raw == job_id]


def final(ground: Ground, job_id: int, runs: int = 1) -> list[AccountingRecord]:
    def ended() -> list[AccountingRecord]:
        found = records_of(ground, job_id)
        return found if len(found) == runs and all(record.is_final for record in found) else []

    return wait_for(f"{runs} final records of job {job_id}", ended, 60)


# ---- reading


def test_the_controller_says_when_it_booted_and_what_waits_for_slurmdbd(ground: Ground) -> None:
    status = ground.adapter.controller_status()
    assert status.booted_at < status.answered_at
    assert status.dbd_queue >= 0
    assert status.priority_calc_period_s == 60


def test_nodes_and_partitions_show_their_gpus(ground: Ground) -> None:
    nodes = {node.name: node for node in ground.adapter.nodes()}
    assert nodes["gpu001"].gpus == {"h100": 8}
    assert nodes["gpu004"].gpus == {"h200": 8}
    partitions = {row.name: row for row in ground.adapter.partitions()}
    assert (partitions["h100"].gpu_type, partitions["h100"].nodes, partitions["h100"].gpus_per_node) == ("h100", 3, 8)
    assert (partitions["h200"].gpu_type, partitions["h200"].is_up) == ("h200", True)
    assert partitions["h100"].max_time_s == 172_800


# ---- accounts, associations, QOS: written, read back, field by field


def test_what_is_created_is_read_back(ground: Ground) -> None:
    accounts = {row.name: row for row in ground.adapter.accounts()}
    assert (accounts[ground.organisation].parent, accounts[ground.project].parent) == ("root", ground.organisation)
    rows = {(row.user, row.partition): row for row in ground.adapter.associations() if row.account == ground.project}
    assert set(rows) == {(user, part) for user in (ground.alice, ground.bob) for part in ("h100", "h200")}
    assert (rows[ground.alice, "h200"].qos, rows[ground.alice, "h200"].default_qos) == ((ground.h200,), ground.h200)
    qos = {row.name: row for row in ground.adapter.qos()}[ground.h100]
    assert qos.flags == {"NoDecay", "DenyOnLimit"}
    assert qos.grp_tres_mins == {"gres/gpu": 10_000, "gres/gpu:h100": 10_000}
    assert (qos.min_tres_per_job, qos.grp_jobs, qos.grp_submit_jobs) == ({"gres/gpu": 1}, None, None)
    usage = ground.adapter.qos_usage([ground.h100, "no-such-qos"])
    assert set(usage) == {ground.h100}
    assert usage[ground.h100].limit_minutes == 10_000


def test_a_new_qos_is_shut_until_it_is_opened(ground: Ground) -> None:
    name = f"{ground.h100}-born"
    ground.adapter.qos_create(name=name, description=name)
    try:
        qos = {row.name: row for row in ground.adapter.qos()}[name]
        assert (qos.grp_jobs, qos.grp_submit_jobs, qos.grp_tres_mins) == (0, 0, {"gres/gpu": 0})
    finally:
        ground.slurm.admin("sacctmgr", "-i", "delete", "qos", "where", f"name={name}")


def test_making_or_removing_the_same_twice_is_no_error(ground: Ground) -> None:
    adapter = ground.adapter
    adapter.account_create(name=ground.project, parent=ground.organisation, organisation="x", description="x")
    adapter.qos_create(name=ground.h100, description="x")
    adapter.association_create(
        account=ground.project, user=ground.alice, partition="h100", qos=[ground.h100], default_qos=ground.h100
    )
    adapter.association_remove(account=ground.project, user="nobody-here", partition="h100")
    adapter.account_remove(name="no-such-account")
    assert {row.name: row for row in adapter.accounts()}[ground.project].parent == ground.organisation


def test_what_slurm_refuses_is_an_error_with_its_words(ground: Ground) -> None:
    with pytest.raises(ClusterError, match="no-such-account"):
        ground.adapter.association_create(
            account="no-such-account", user=ground.alice, partition="h100", qos=[ground.h100], default_qos=ground.h100
        )
    with pytest.raises(ClusterError, match="no-such-qos"):
        ground.adapter.association_modify(
            account=ground.project, user=ground.alice, partition="h100", qos=["no-such-qos"], default_qos="no-such-qos"
        )


def test_an_association_is_changed_blocked_opened_and_removed_by_partition(ground: Ground) -> None:
    adapter, third = ground.adapter, ground.slurm.researchers[2]

    def found():
        return {
            row.partition: row for row in adapter.associations() if (row.account, row.user) == (ground.project, third)
        }

    for part, qos in (("h100", ground.h100), ("h200", ground.h200)):
        adapter.association_create(account=ground.project, user=third, partition=part, qos=[qos], default_qos=qos)
    place = {"account": ground.project, "user": third, "partition": "h100"}
    adapter.association_modify(**place, qos=[ground.h100, ground.h200], default_qos=ground.h200)
    assert (found()["h100"].qos, found()["h100"].default_qos) == (
        tuple(sorted([ground.h100, ground.h200])),
        ground.h200,
    )
    adapter.association_modify(**place, qos=[ground.h100], default_qos=ground.h100)
    adapter.association_block(**place)
    assert (found()["h100"].qos, found()["h100"].max_jobs, found()["h100"].max_submit_jobs) == ((ground.h100,), 0, 0)
    assert found()["h200"].max_jobs is None
    adapter.association_unblock(**place)
    assert (found()["h100"].max_jobs, found()["h100"].max_submit_jobs) == (None, None)
    adapter.association_remove(**place)
    assert set(found()) == {"h200"}
    adapter.association_remove(account=ground.project, user=third, partition="h200")
    assert found() == {}


def test_an_association_without_partition_is_not_mistaken_for_all(ground: Ground) -> None:
    third = ground.slurm.researchers[2]
    ground.slurm.admin("sacctmgr", "-i", "add", "user", f"name={third}", f"account={ground.project}", "cluster=local")
    ground.adapter.association_create(
        account=ground.project, user=third, partition="h100", qos=[ground.h100], default_qos=ground.h100
    )
    for expected in ({"h100"}, set()):
        partition = "" if expected else "h100"
        ground.adapter.association_remove(account=ground.project, user=third, partition=partition)
        rows = ground.adapter.associations()
        assert {row.partition for row in rows if (row.account, row.user) == (ground.project, third)} == expected


def test_limits_are_set_changed_and_cleared(ground: Ground) -> None:
    adapter = ground.adapter
    try:
        adapter.qos_modify(name=ground.h200, grp_tres_mins={"gres/gpu": 7, "gres/gpu:h200": 7}, grp_jobs=0)
        changed = {row.name: row for row in adapter.qos()}[ground.h200]
        assert (changed.grp_tres_mins, changed.grp_jobs) == ({"gres/gpu": 7, "gres/gpu:h200": 7}, 0)
        wait_for(
            "slurmctld to hold the limit", lambda: adapter.qos_usage([ground.h200])[ground.h200].limit_minutes == 7, 5
        )
        adapter.qos_modify(name=ground.h200, grp_tres_mins={"gres/gpu:h200": -1}, grp_jobs=-1)
        cleared = {row.name: row for row in adapter.qos()}[ground.h200]
        assert (cleared.grp_tres_mins, cleared.grp_jobs) == ({"gres/gpu": 7}, None)
    finally:
        ground.limit(ground.h200, "h200", 10_000)


def test_a_unix_account_is_looked_up(ground: Ground) -> None:
    assert ground.adapter.unix_account_exists(ground.alice)
    assert not ground.adapter.unix_account_exists("nobody-here")


# ---- a job as the researcher


def test_a_job_is_submitted_as_the_researcher_and_read_back(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "must-not-leak")
    monkeypatch.setenv("DATABASE_URL", "must-not-leak")
    script = (
        "#!/bin/bash\nexport SLURM_EXPORT_ENV=ALL\nOURS=1; export OURS\nid -un\npwd\nenv | sort\necho ---\n"
        "srun sh -c 'echo PATH=$PATH; echo OURS=$OURS; echo CUDA=$CUDA_VISIBLE_DEVICES'\n"
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
    output = Path(ground.slurm.home(ground.alice), f"slurm-{job_id}.out").read_text()
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
        ({"options": {"array": "1-9"}}, "request"),
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


# ---- a Slurm that is not there


def test_a_dead_slurmctld_is_unreachable_and_a_refusal_by_name(ground: Ground) -> None:
    place = Path(tempfile.mkdtemp(prefix="nowhere-"))
    place.chmod(0o755)
    try:
        lines = Path(ground.slurm.how["slurm_conf"]).read_text().splitlines()
        conf = place / "slurm.conf"
        conf.write_text("\n".join("SlurmctldPort=1" if x.startswith("SlurmctldPort=") else x for x in lines))
        conf.chmod(0o644)
        for name in ("submit", "cancel"):
            shutil.copy(Path(ground.slurm.how["wrappers_dir"]) / name, place / name)
        settings = place / "wrappers.json"
        settings.write_text(json.dumps({"slurm_conf": str(conf), "bin_dir": "/usr/bin"}))
        settings.chmod(0o644)
        lost = CommandsAdapter(
            cluster="local", programs=Programs(slurm_conf=str(conf)), wrappers_dir=str(place), sudo="/usr/bin/sudo"
        )
        with ThreadPoolExecutor() as pool:  # side by side: each gives up after 9 s
            asked = pool.submit(lost.controller_status)
            with pytest.raises(SubmissionRefused) as refusal:
                lost.submit(ground.request())
            with pytest.raises(ClusterUnreachable):
                asked.result()
        assert refusal.value.code == "connect_failure"
    finally:
        shutil.rmtree(place)
