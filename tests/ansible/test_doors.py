"""A job has the run of its node, and here that is the whole centre: every port and socket asks for a credential."""

import json
import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack.layout import PORT_OFFSETS, Stack
from stack.preflight import _listeners

from tests.scheduler.own_slurm import PORTS

pytestmark = pytest.mark.slurm
JOB_PATIENCE_S = 120


def run_slurm(
    stack: Stack, *command: str, user: str | None = None, script: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env={"PATH": "/usr/bin:/bin", "SLURM_CONF": str(stack.slurm_conf), "LANG": "C.UTF-8", "TZ": "UTC"},
        cwd="/",
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )


def slurm(stack: Stack, *command: str, user: str | None = None, script: str = "") -> str:
    done = run_slurm(stack, *command, user=user, script=script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def change_tree(stack: Stack, *arguments: str) -> None:
    slurm(stack, "flock", str(stack.state / "slurm/sacctmgr.lock"), "sacctmgr", "-i", "-Q", *arguments)


@pytest.fixture(scope="module")
def intruder(stack: Stack) -> Iterator[tuple[str, str]]:
    """A researcher with an account and a QOS of his own, made for this test: (unix account, QOS)."""
    name = f"doors{os.getpid()}-{int(time.time())}"
    user = f"r{stack.id}d"
    change_tree(stack, "add", "account", name)
    slurm(stack, "sacctmgr", "-i", "-Q", "add", "qos", name, "flags=NoDecay,DenyOnLimit")
    change_tree(stack, "add", "user", user, f"account={name}", f"qos={name}", f"defaultqos={name}")
    yield user, name
    change_tree(stack, "delete", "user", user, f"account={name}")
    change_tree(stack, "delete", "account", name)
    slurm(stack, "sacctmgr", "-i", "-Q", "delete", "qos", name)


@pytest.fixture(scope="module")
def doors(stack: Stack, intruder: tuple[str, str]) -> dict[str, str]:
    """What a job that knocks at every door of the stack has to tell."""
    user, name = intruder
    home = Path(pwd.getpwnam(user).pw_dir)
    program = home / "knock.py"
    program.write_bytes((Path(__file__).parent / "knock.py").read_bytes())
    program.chmod(0o644)
    output = home / f"knock-{name}.json"
    script = f"#!/bin/sh\nexec /usr/bin/python3 -I {program} {stack.record()['port_base']} {stack.run}\n"
    wanted = ["--parsable", "--export=NONE", f"--chdir={home}", f"--output={output}", "--gres=gpu:h100:1", "--time=5"]
    job = slurm(stack, "sbatch", *wanted, "-A", name, "--qos", name, user=user, script=script).strip()
    deadline = time.monotonic() + JOB_PATIENCE_S
    while slurm(stack, "squeue", "-h", "-j", job, "-o", "%T", "--states=PENDING,RUNNING,COMPLETING"):
        assert time.monotonic() < deadline, "the job does not end"
        time.sleep(0.5)
    told = output.read_text()
    output.unlink()
    program.unlink()
    return dict(json.loads(told))


def test_no_door_opens_without_a_credential(doors: dict[str, str]) -> None:
    assert not {door: answer for door, answer in doors.items() if not answer.startswith("refused")}


@pytest.mark.parametrize(
    "part", ["postgresql", "redis", "mariadb", "prometheus", "web", "slurmdbd", "slurmctld", "exporter"]
)
def test_the_job_knocked_everywhere(doors: dict[str, str], part: str) -> None:
    assert [door for door in doors if door.startswith(part)]


def test_every_listening_port_of_the_stack_is_known(stack: Stack) -> None:
    own = set(stack.users().values())
    base = stack.record()["port_base"]
    known = {base + offset for offset in PORT_OFFSETS.values()}
    listening = {port for port, uids in _listeners().items() if uids & own}
    assert listening - set(PORTS) <= known  # a test beside this one may have a Slurm of its own up, as the same users


@pytest.mark.parametrize(
    "question",
    [
        ("sacctmgr", "-nP", "show", "association"),
        ("sacctmgr", "-nP", "show", "user"),
        ("sacctmgr", "-nP", "show", "qos"),  # every allocation's limit stands there
        ("sacctmgr", "-nP", "show", "transactions"),  # and everything that was ever set stands here
        ("sacct", "-a", "-X", "-n", "-P"),
        ("sreport", "-nP", "cluster", "AccountUtilizationByUser"),
    ],
)
def test_slurmdbd_answers_no_researcher(stack: Stack, intruder: tuple[str, str], question: tuple[str, ...]) -> None:
    user, _ = intruder
    done = run_slurm(stack, *question, user=user)
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize(
    "question",
    [
        ("squeue", "-a", "-h", "-o", "%u %a %q"),
        ("scontrol", "-o", "show", "job"),
        # QOS it would show: no setting of Slurm hides them. That is why their names say nothing about whose they are.
        ("scontrol", "-o", "show", "assoc_mgr", "flags=users,assoc"),
        ("sprio", "-h"),
    ],
)
def test_slurmctld_shows_a_researcher_no_stranger(
    stack: Stack, intruder: tuple[str, str], question: tuple[str, ...]
) -> None:
    user, name = intruder
    strangers = {f"{stack.name}-cluster", "normal", *(other for other in stack.users() if other != user)}
    accounts = set(slurm(stack, "sacctmgr", "-nP", "show", "account", "format=account").split()) - {name, "root"}
    lines = run_slurm(stack, *question, user=user).stdout.splitlines()
    # What is one's own may be shown, of another test's account too: jobs, which slurmctld keeps for some minutes, and
    # one's associations.
    own = (f"UserId={user}(", f"UserName={user}(")
    shown = "\n".join(
        line for line in lines if not line.startswith(f"{user} ") and not any(mark in line for mark in own)
    )
    assert not [stranger for stranger in strangers | accounts if stranger in shown]
