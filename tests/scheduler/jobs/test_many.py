"""The submit wrapper given several requests at once. sbatch is a script here; the real one is in test_real_slurm.py."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.scheduler.live import LiveSlurm

WRAPPER = Path(__file__).resolve().parents[3] / "scheduler/clusters/wrappers/submit"
KEYS: list[str] = []  # of the requests of a test: each has made a folder
SBATCH = """#!/bin/sh
echo "$@" | sed 's/.*--job-name=\\([^ ]*\\).*/\\1/' >> {marks}/begun
case "$*" in *slow*) sleep 6;; *refused*) echo "sbatch: error: \\"no\\" – không" >&2; exit 1;; esac
echo 17
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's identity")


@pytest.fixture
def place():
    place = Path(tempfile.mkdtemp(prefix="wrapper-"))
    place.chmod(0o755)
    shutil.copy(WRAPPER, place / "submit")
    (place / "sbatch").write_text(SBATCH.format(marks=place / "marks"))
    (place / "sbatch").chmod(0o755)
    (place / "marks").mkdir()
    (place / "marks").chmod(0o777)
    (place / "wrappers.json").write_text(json.dumps({"slurm_conf": "/run/x/slurm.conf", "bin_dir": str(place)}))
    yield place
    shutil.rmtree(place)
    for key in KEYS:
        shutil.rmtree(Path(researcher().pw_dir, "saola/jobs", key), ignore_errors=True)
    KEYS.clear()


def researcher() -> pwd.struct_passwd:
    """One of the stack's: a job's folder is made in a home, and nobody has none."""
    return pwd.getpwnam(LiveSlurm().researchers[-1])


def request(name: str, **changes: object) -> dict[str, object]:
    KEYS.append(str(uuid4()))
    return {
        "key": KEYS[-1],
        "account": "a",
        "qos": "q",
        "partition": "h100",
        "name": name,
        "script": "#!/bin/bash\ntrue\n",
        "nodes": 1,
        "gpu_type": "h100",
        "gpus_per_node": 1,
        "time_limit_s": 60,
    } | changes


def start(place: Path, requests: list[dict[str, object]]) -> subprocess.Popen[str]:
    """One that does not wait for its answers."""
    program = subprocess.Popen(
        [place / "submit"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=researcher().pw_uid,
        group=researcher().pw_gid,
        extra_groups=[],
        env={},
    )
    assert program.stdin
    program.stdin.write(json.dumps(requests))
    program.stdin.close()
    return program


def run(place: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [place / "submit"],
        input=text,
        user=researcher().pw_uid,
        group=researcher().pw_gid,
        extra_groups=[],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )


def answers(place: Path, requests: list[dict[str, object]]) -> list[dict[str, object]]:
    done = run(place, json.dumps(requests))
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def begun(place: Path) -> list[str]:
    return (place / "marks" / "begun").read_text().split()


def test_each_is_answered_in_its_turn(place):
    three = [request("one"), request("refused"), request("three", nodes=0)]
    by_key = {row["key"]: row for row in answers(place, three)}
    one, refused, invalid = (by_key[request["key"]] for request in three)
    assert (one["code"], one["out"], one["error"]) == (0, "17\n", "")
    assert (refused["code"], refused["error"]) == (1, 'sbatch: error: "no" – không\n')
    assert (invalid["code"], str(invalid["error"])[:22]) == (64, "saola-submit: request:")
    assert sorted(begun(place)) == ["one", "refused"]


def test_one_that_takes_too_long_keeps_the_others_from_being_begun(place):
    codes = [row["code"] for row in answers(place, [*(request("slow") for _ in range(3)), request("late")])]
    assert codes == [0, 0, 65, 0] or codes == [0, 65, 0, 0]
    assert begun(place) == ["slow"] * 3


def test_nothing_more_is_begun_once_nobody_listens(place):
    program = start(place, [*(request("slow") for _ in range(3)), request("never"), request("never")])
    time.sleep(0.5)
    for pipe in (program.stdout, program.stderr):
        assert pipe
        pipe.close()
    program.wait(20)
    assert begun(place) == ["slow"] * 3


def test_too_many_are_refused(place):
    done = run(place, json.dumps([request("x") for _ in range(17)]))
    assert (done.returncode, done.stdout, done.stderr.split(":")[1]) == (64, "", " request")


@pytest.mark.parametrize("text", ["[]", "[{}", "[{}]]", "[1]", "[{},]", "[[{}]]"])
def test_what_is_no_array_of_objects_is_refused(place, text):
    done = subprocess.run(
        [place / "submit"],
        input=text,
        user=researcher().pw_uid,
        group=researcher().pw_gid,
        extra_groups=[],
        env={},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 64 or json.loads(done.stdout)["code"] == 64
    assert not (place / "marks" / "begun").exists()
