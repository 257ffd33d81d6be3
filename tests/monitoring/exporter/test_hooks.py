"""Who owns which GPU, told by the hooks that Slurm runs as root: by UUID, in order, bounded, and never failing."""

import json
import os
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.emulator import profiles
from monitoring.exporter.spool import Spool
from tests.monitoring.exporter.conftest import HOOK, UID, Running


@pytest.fixture(scope="module")
def running(exporter_on: Callable[..., Any]) -> Iterator[Running]:
    """A node whose minor numbers are not in NVML's order."""
    with exporter_on("h200", 8, node="gpu004") as one:
        one.well(8)
        yield one


def events(running: Running, after: int = 0, limit: int = 1000) -> dict[str, Any]:
    return dict(json.loads(running.get(f"/events?after={after}&limit={limit}")))


def owners(running: Running) -> dict[str, int]:
    return {one["uuid"]: int(one["jobid"]) for one in running.scrape().labels("gpu_job_info")}


def uuid_of_minor(minor: int) -> str:
    return profiles.gpu_uuid("gpu004", profiles.profile("h200")["minors"].index(minor))


def test_a_job_owns_the_gpus_that_slurm_s_indices_mean(running: Running) -> None:
    running.hook("start", 101, "0,5")
    running.hook("start", 102, "1")
    running.until(lambda now: len(now.labels("gpu_job_info")) == 3)
    assert owners(running) == {uuid_of_minor(0): 101, uuid_of_minor(5): 101, uuid_of_minor(1): 102}
    running.hook("end", 101, "0,5")
    running.hook("end", 102, "")  # not every Slurm tells the epilog
    running.until(lambda now: not now.labels("gpu_job_info"))
    assert [(one["event"], one["job"]) for one in events(running)["events"][-4:]] == [
        *(("start", 101), ("start", 102)),
        *(("end", 101), ("end", 102)),
    ]
    numbers = [one["n"] for one in events(running)["events"]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_lost_epilog_leaves_no_owner_behind_the_next_job(running: Running) -> None:
    running.hook("start", 111, "2")
    running.hook("start", 112, "2")
    running.until(lambda now: [one["jobid"] for one in now.labels("gpu_job_info")] == ["112"])
    assert owners(running) == {uuid_of_minor(2): 112}
    running.hook("end", 111, "2")  # late: not this one's
    assert owners(running) == {uuid_of_minor(2): 112}
    running.hook("end", 112, "2")


def test_uuids_of_the_job_are_taken_as_they_are(running: Running) -> None:
    running.hook("start", 121, "0", CUDA_VISIBLE_DEVICES=uuid_of_minor(7))
    assert events(running)["events"][-1]["gpus"] == [uuid_of_minor(7)]
    running.hook("end", 121, "0", CUDA_VISIBLE_DEVICES="GPU-00000000-0000-0000-0000-000000000000")
    assert events(running)["events"][-1]["gpus"] == [uuid_of_minor(0)]


def test_a_reader_goes_on_where_it_was(running: Running) -> None:
    for job in range(131, 136):
        running.hook("start", job, "3")
        running.hook("end", job, "3")
    whole = events(running)["events"]
    assert events(running, after=whole[-4]["n"])["events"] == whole[-3:]
    assert events(running, after=whole[0]["n"], limit=2)["events"] == whole[1:3]
    assert events(running, after=whole[-1]["n"])["events"] == []


def test_a_run_s_folder_is_its_user_s_until_the_end(running: Running) -> None:
    running.hook("start", 141, "4")
    folder = running.run_folder(141)
    status = folder.stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (UID, 0o2750)
    running.hook("end", 141, "4")
    assert folder.stat().st_uid == 0
    assert not (running.folder / "jobs/141").exists()


def test_each_run_of_a_requeued_job_has_its_own_folder(running: Running) -> None:
    running.hook("start", 151, "4")
    first = running.run_folder(151)
    running.hook("end", 151, "4")
    time.sleep(1.1)  # began is told in whole seconds
    running.hook("start", 151, "4")
    assert running.run_folder(151) != first
    running.hook("end", 151, "4")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_JOB_ID": "x"},
        {"SLURM_JOB_ID": "1", "SLURM_JOB_UID": "1000", "SLURM_JOB_GPUS": "0", "SLURMD_NODENAME": "../gpu004"},
        {"SLURM_JOB_ID": "1", "SLURM_JOB_UID": "1000", "SLURM_JOB_GPUS": "0", "SLURMD_NODENAME": "gpu999"},
        {"SLURM_JOB_ID": "1", "SLURM_JOB_UID": "1000", "SLURMD_NODENAME": "gpu004"},  # no GPU, nothing to tell
    ],
)
def test_whatever_it_is_given_the_job_starts(running: Running, environment: dict[str, str]) -> None:
    before = events(running)["newest"]
    done = subprocess.run([f"{HOOK}-run", "start", str(running.base), "root"], env=environment, timeout=10, check=False)
    assert done.returncode == 0
    assert events(running)["newest"] == before


def test_a_hook_that_hangs_is_ended_and_the_job_starts(tmp_path: Path) -> None:
    program = tmp_path / "hook"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    (tmp_path / "hook-run").write_bytes(Path(f"{HOOK}-run").read_bytes().replace(b"-k 1 5 ", b"-k 0.1 0.2 "))
    began = time.monotonic()
    assert subprocess.run(["/bin/sh", tmp_path / "hook-run", "start"], env={}, timeout=10, check=False).returncode == 0
    assert time.monotonic() - began < 5


# ---- the spool itself, written by the hook and read without an exporter


def many_events(folder: Path, lines: int) -> None:
    text = [json.dumps({"spool": "0123456789abcdef"})]
    for number in range(1, lines + 1):
        event = {"n": number, "event": "start", "job": number, "uid": 1000, "at": 1.5e9 + number, "gpus": ["GPU-x"]}
        text.append(json.dumps(event))
    (folder / "events").write_text("\n".join(text) + "\n")


def hook(base: Path, job: int) -> None:
    environment = {"SLURMD_NODENAME": "n", "SLURM_JOB_ID": str(job), "SLURM_JOB_UID": str(UID), "SLURM_JOB_GPUS": "0"}
    done = subprocess.run([HOOK, "start", base, "root"], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_spool_is_bounded_and_counts_on(tmp_path: Path) -> None:
    folder = tmp_path / "n"
    for name in ("runs", "jobs", "exporter"):
        (folder / name).mkdir(parents=True)
    many_events(folder, 45_000)  # more than one file may hold
    spool = Spool(folder)
    assert spool.follow() == {"GPU-x"}
    hook(tmp_path, 45_001)
    hook(tmp_path, 45_002)
    assert (folder / "events").stat().st_size < 1000 < (folder / "events.1").stat().st_size
    answer = spool.after(44_998, 1000)
    assert [one["n"] for one in answer["events"]] == [44_999, 45_000, 45_001, 45_002]
    assert (answer["spool"], answer["oldest"], answer["newest"]) == ("0123456789abcdef", 1, 45_002)
    for number in (0, 1, 777, 20_000, 44_999, 45_001):
        assert spool.after(number, 1)["events"][0]["n"] == number + 1
    assert spool.follow() == set()  # the map was not there: those events named no GPU
    assert spool.owners["GPU-x"].job == 45_000


def test_half_a_line_of_a_killed_hook_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "n"
    for name in ("runs", "jobs", "exporter"):
        (folder / name).mkdir(parents=True)
    many_events(folder, 3)
    with (folder / "events").open("a") as file:
        file.write('{"n": 4, "event": "sta')
    hook(tmp_path, 9)
    found = Spool(folder).after(0, 100)["events"]
    assert [(one["n"], one["job"]) for one in found] == [(1, 1), (2, 2), (3, 3), (4, 9)]


def test_what_was_owned_before_the_node_began_is_owned_no_more(tmp_path: Path) -> None:
    many_events(tmp_path, 3)
    spool = Spool(tmp_path, booted_at=1.6e9)
    spool.follow()
    assert spool.owners == {}


def test_a_map_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "n"
    for name in ("runs", "jobs", "exporter"):
        (folder / name).mkdir(parents=True)
    os.mkfifo(folder / "exporter/gpus.map")  # the exporter's user may do that
    hook(tmp_path, 5)
    assert Spool(folder).after(0, 10)["events"][0]["gpus"] == []
