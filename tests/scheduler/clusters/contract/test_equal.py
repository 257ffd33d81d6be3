"""What both adapters say of the same Slurm, at the same moment, is equal field by field."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, is_dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from portal.clock import now
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, ClusterUnreachable, QueueJob
from tests.scheduler.clusters.contract.ground import Ground, ground_made
from tests.scheduler.clusters.contract.worker import pyslurm_worker
from tests.scheduler.live import LiveSlurm, wait_for
from tests.scheduler.own_slurm import OwnSlurm

pytestmark = pytest.mark.slurm

STAYS = "#!/bin/bash\nexport SLURM_EXPORT_ENV=ALL\nsleep 600\n"
GPU = ("--gres=gpu:h100:1", "--time=10")
LATER = (*GPU, "--begin=now+1hour")
NAMES = {
    "Vietnamese": "huấn luyện – lần 2",
    "signs": "a|b 'c' \"d\" %j \\ $(id)",
    "a newline": "one\ntwo",
    "not UTF-8": "\udcff\udcfe name",
    "the word None": "None",
    "Slurm's word for nothing": "N/A",
    "another": "(null)",
    "long": "x" * 200,
}
COMMENTS = {"newlines": "a\n\nb\n", "not UTF-8": "\udcff", "signs": "|\x1f|", "Slurm's word for nothing": "(null)"}


def differences(one: Any, other: Any) -> list[str]:
    """Fields, for a reader of a failed test."""
    if isinstance(one, dict):
        one, other = [one[key] for key in sorted(one)], [other[key] for key in sorted(other)]
    if not isinstance(one, list) or len(one) != len(other):
        return [] if one == other else [f"{one} is not {other}"]
    names = [name for row in one[:1] if is_dataclass(row) for name in asdict(row)]
    return [
        f"{name} of {row}: {getattr(row, name)!r} is not {getattr(twin, name)!r}"
        for row, twin in zip(one, other, strict=True)
        for name in names
        if getattr(row, name) != getattr(twin, name)
    ]


@dataclass
class Both:
    commands: ClusterAdapter
    pyslurm: ClusterAdapter

    def say(self, ask: Callable[[ClusterAdapter], Any]) -> Any:
        """The answer of both, from a moment in which Slurm stood still."""
        for _ in range(50):
            before, answer, after = ask(self.commands), ask(self.pyslurm), ask(self.commands)
            if before == after:
                assert differences(before, answer) == []
                assert answer == before
                return answer
        raise AssertionError("Slurm did not stand still")

    def queue(self, *job_ids: int) -> dict[int, QueueJob]:
        def ask(adapter: ClusterAdapter) -> dict[int, QueueJob]:
            rows = adapter.queue(job_ids=job_ids)
            assert len({row.job_id for row in rows}) == len(rows)
            return {row.job_id: row for row in sorted(rows, key=lambda row: row.job_id)}

        return self.say(ask)


@pytest.fixture(scope="module")
def both(slurm: LiveSlurm) -> Iterator[Both]:
    with pyslurm_worker(slurm) as pyslurm:
        yield Both(slurm.adapter(), pyslurm)


@pytest.fixture(scope="module")
def land(slurm: LiveSlurm, both: Both) -> Iterator[Ground]:
    with ground_made(slurm, both.commands) as made:
        yield made


@pytest.fixture(scope="module")
def timed_out(land: Ground) -> int:
    """Begun first: Slurm takes a minute and a half to end it."""
    return put(land, "--gres=gpu:h100:1", "--time=1", script=STAYS)


def put(land: Ground, *options: str, script: str = STAYS, fence: bool = True, gpu_type: str = "h100") -> int:
    sbatch = land.slurm.sbatch if fence else land.slurm.sbatch_unfenced
    answer = sbatch(land.alice, *land.place(gpu_type), *options, script=script)
    assert not answer.code, answer
    return int(answer.out)


def runs(both: Both, *job_ids: int) -> None:
    wait_for("jobs to run", lambda: {row.state for row in both.commands.queue(job_ids=job_ids)} == {"RUNNING"})


def test_a_queue_without_jobs(both: Both) -> None:
    assert both.queue() == {}
    assert both.queue(60_000_000) == {}


def test_the_controller(both: Both) -> None:
    one, other = both.commands.controller_status(), both.pyslurm.controller_status()
    assert abs(one.slurm_now - other.slurm_now) < timedelta(seconds=5)
    assert abs(one.clock_ahead_s) <= 1
    assert abs(other.clock_ahead_s) <= 1
    same = {"answered_at": now(), "clock_at": None, "dbd_queue": 0}
    assert replace(one, **same) == replace(other, **same)


def test_jobs_that_run(both: Both, land: Ground, timed_out: int) -> None:
    plain = put(land, *GPU)
    two_nodes = put(land, "--nodes=2", "--gres=gpu:h100:2", "--time=10")
    untyped = put(land, "--gres=gpu:1", "--time=10", fence=False)
    by_count = put(land, "--gpus=2", "--time=10", fence=False)
    suspended, requeued = put(land, *GPU), put(land, *GPU)
    runs(both, timed_out, plain, two_nodes, untyped, by_count, suspended, requeued)
    land.slurm.admin("scontrol", "suspend", str(suspended))
    land.slurm.admin("scontrol", "requeue", str(requeued))
    wait_for("the second run", lambda: both.commands.queue(job_ids=[requeued])[0].restarts)
    found = both.queue()
    assert found[plain].gpus == {"h100": 1}
    assert (found[two_nodes].nodes, found[two_nodes].gpus) == (2, {"h100": 4})
    assert (found[untyped].gpus, found[by_count].gpus) == ({"h100": 1}, {"h100": 2})
    assert found[suspended].state == "SUSPENDED"
    assert found[requeued].restarts == 1
    land.slurm.admin("scontrol", "resume", str(suspended))
    for job_id in (plain, two_nodes, untyped, by_count, suspended, requeued):
        assert set(both.queue(job_id)) == {job_id}
        land.slurm.admin("scancel", str(job_id))


def test_jobs_that_ended(both: Both, land: Ground, timed_out: int) -> None:
    cancelled = put(land, *GPU)
    runs(both, cancelled)
    land.slurm.admin("scancel", str(cancelled))
    ended = {
        "CANCELLED": cancelled,
        "COMPLETED": put(land, *GPU, script="#!/bin/sh\ntrue\n"),
        "FAILED": put(land, *GPU, script="#!/bin/sh\nexit 3\n"),
        "TIMEOUT": timed_out,
    }
    ids = list(ended.values())

    def states() -> dict[str, int]:
        return {row.state: row.job_id for row in both.commands.queue(job_ids=ids)}

    wait_for("all to end", lambda: states() == ended, 180)
    assert {row.state: job_id for job_id, row in both.queue(*ids).items()} == ended
    assert not set(ids) & set(both.queue())
    wait_for("their records", lambda: all(row.is_final for row in both.commands.records(job_ids=ids)), 60)
    records = both.say(lambda adapter: sorted(adapter.records(job_ids=ids), key=lambda row: row.job_id_raw))
    assert {row.state: row.job_id_raw for row in records} == ended
    both.say(lambda adapter: adapter.usage(job_ids=ids))


def test_jobs_that_wait_each_for_its_reason(both: Both, land: Ground) -> None:
    full = put(land, "--gres=gpu:h200:8", "--time=10", gpu_type="h200")
    runs(both, full)
    cancelled = put(land, *LATER)
    land.slurm.admin("scancel", str(cancelled))
    waits = {
        "BeginTime": put(land, *LATER),
        "JobHeldUser": put(land, *GPU, "--hold"),
        "JobHeldAdmin": put(land, *LATER),
        "Dependency": put(land, *GPU, f"--dependency=afterok:{full}"),
        "DependencyNeverSatisfied": put(land, *GPU, f"--dependency=afterok:{cancelled}", "--kill-on-invalid-dep=no"),
        "Resources": put(land, "--gres=gpu:h200:1", "--time=10", gpu_type="h200"),
        "Priority": put(land, "--gres=gpu:h200:1", "--time=10", gpu_type="h200"),
    }
    untyped = put(land, "--gres=gpu:2", "--time=10", "--begin=now+1hour", fence=False)
    land.slurm.admin("scontrol", "hold", str(waits["JobHeldAdmin"]))

    def reasons() -> dict[int, str]:
        return {row.job_id: row.reason for row in both.commands.queue(job_ids=list(waits.values()))}

    expected = {job_id: reason for reason, job_id in waits.items()}
    wait_for("the reasons", lambda: reasons() == expected)
    found = both.queue()
    assert {found[job_id].reason for job_id in waits.values()} == set(waits)
    assert found[untyped].gpus == {"gpu": 2}
    assert found[waits["BeginTime"]].eligible_at is not None
    land.forget_jobs()


def test_arrays(both: Both, land: Ground) -> None:
    some = put(land, *GPU, "--array=0-5%2")
    steps = put(land, *LATER, "--array=3-94:7%4")
    single = put(land, *LATER, "--array=0")
    held = put(land, *LATER, "--array=1,3,5-9,20")
    land.slurm.admin("scontrol", "hold", f"{held}_3")
    wait_for("two tasks", lambda: len([row for row in both.queue(some).values() if row.state == "RUNNING"]) == 2)
    found = both.queue()
    assert {row.array_tasks for row in found.values() if row.array_job_id == some} == {"0", "1", "2-5%2"}
    assert (found[steps].array_tasks, found[steps].array_task_count) == ("3-94:7%4", 14)
    assert (found[single].array_tasks, found[single].array_job_id) == ("0", single)
    assert {row.array_tasks for row in found.values() if row.array_job_id == held} == {"1,3,5-9,20"}
    # A task that waits again is shown with those that have not begun.
    land.slurm.admin("scontrol", "requeuehold", f"{some}_1")
    wait_for("task 1 to wait", lambda: "1,3-5" in {row.array_tasks for row in both.commands.queue(job_ids=[some])})
    again = {row.array_tasks: row for row in both.queue(some).values()}
    assert again["1,3-5"].array_task_count == 4
    land.forget_jobs()


def test_het_jobs(both: Both, land: Ground) -> None:
    place = [*land.place(), *GPU]
    waiting, running = put(land, *LATER, ":", *place), put(land, *GPU, ":", *place)
    wait_for("the job", lambda: {row.state for row in both.commands.queue(job_ids=[running])} == {"RUNNING"})
    assert [row.het_job_id for row in both.queue(running, waiting).values()] == [waiting] * 2 + [running] * 2
    both.queue()
    land.forget_jobs()


def test_odd_names_and_comments(both: Both, land: Ground) -> None:
    named = {what: put(land, *LATER, f"--job-name={name}") for what, name in NAMES.items()}
    commented = [put(land, *LATER, f"--comment={comment}") for comment in COMMENTS.values()]
    plain = put(land, *LATER)
    found = both.queue()
    assert set(found) == {*named.values(), *commented, plain}
    assert found[named["Vietnamese"]].name == NAMES["Vietnamese"]
    assert found[named["the word None"]].name == "None"
    assert "�" in found[named["not UTF-8"]].name
    land.forget_jobs()


def test_nodes_and_partitions_in_every_state(both: Both, land: Ground, own: OwnSlurm) -> None:
    slurm = land.slurm
    job_id = put(land, "--gres=gpu:h100:3", "--time=10", "--nodelist=gpu001")
    runs(both, job_id)
    changes = {
        "NodeName=gpu001": ("State=DRAIN", "Reason=a fan: is = loud"),
        "NodeName=gpu002": ("State=DOWN", "Reason=quạt hỏng"),
        "NodeName=gpu003": ("State=DRAIN", "Reason=one\ntwo"),
        "NodeName=gpu004": ("State=DRAIN", "Reason=\udcff"),
        "PartitionName=h200": ("State=DOWN", "MaxTime=UNLIMITED"),
    }
    own.suspend("gpu002")  # by itself it would be back at once
    try:
        for what, change in changes.items():
            slurm.admin("scontrol", "update", what, *change)
        nodes = {node.name: node for node in both.say(lambda adapter: adapter.nodes())}
        assert nodes["gpu001"].state == "MIXED+DRAIN"
        assert (nodes["gpu001"].gpus, nodes["gpu001"].gpus_allocated) == ({"h100": 8}, {"h100": 3})
        assert nodes["gpu001"].reason.startswith("a fan: is = loud [root@")
        assert nodes["gpu002"].state.startswith("DOWN")
        partitions = {row.name: row for row in both.say(lambda adapter: adapter.partitions())}
        assert (partitions["h200"].is_up, partitions["h200"].max_time_s) == (False, 0)
        both.queue()
    finally:
        own.resume("gpu002")
        land.forget_jobs()
        for node in ("gpu001", "gpu002", "gpu003", "gpu004"):
            slurm.root.ask("scontrol", "update", f"NodeName={node}", "State=RESUME")  # one may be back by itself
        slurm.admin("scontrol", "update", "PartitionName=h200", "State=UP", "MaxTime=2-0")
        slurm.admin("scontrol", "reconfigure")
    assert {node.reason for node in both.say(lambda adapter: adapter.nodes())} == {""}


def test_accounts_and_limits(both: Both, land: Ground) -> None:
    for ask in ("accounts", "associations", "tree", "qos", "purge_horizon"):
        both.say(lambda adapter, ask=ask: getattr(adapter, ask)())
    assert both.say(lambda adapter: adapter.qos_usage([land.h100, land.h200]))
    both.say(lambda adapter: adapter.changes_by_others(since=now() - timedelta(hours=1)))


def test_a_slurmctld_that_is_away_hangs_and_comes_back(both: Both, land: Ground, own: OwnSlurm) -> None:
    waiting = put(land, *LATER)
    before = both.queue()
    own.suspend("slurmctld")
    try:
        for adapter in (both.commands, both.pyslurm):
            with pytest.raises(ClusterUnreachable):
                adapter.queue()
    finally:
        own.resume("slurmctld")
    land.slurm.admin("scontrol", "shutdown", "slurmctld")
    wait_for("slurmctld to end", lambda: own.daemons["slurmctld"].poll() is not None)
    for ask in ("controller_status", "queue"):
        with pytest.raises(ClusterUnreachable):
            getattr(both.pyslurm, ask)()
    with pytest.raises(ClusterUnreachable):
        both.commands.queue()
    own.start("slurmctld")

    def answers() -> bool:
        try:
            return bool(both.commands.controller_status())
        except ClusterError:
            return False

    wait_for("slurmctld", answers, 60)
    assert set(both.queue()) == set(before) == {waiting}
    land.forget_jobs()
