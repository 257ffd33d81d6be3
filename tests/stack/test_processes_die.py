"""Every process of the stack is killed with -9 while a job is on its way: it comes back, and the job happens once.

PostgreSQL, on which every other test stands as well, dies in `test_postgresql_dies`.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scheduler.clusters.adapters import ClusterError
from tests.scheduler.live import LiveSlurm
from tests.stack.browsing import Visitor
from tests.stack.conftest import Stack, submit, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.fault]

COMES_BACK_S = 60
JOB_ENDS_S = 180
PROGRAMS = [
    "redis",
    "mariadb",
    "slurmdbd",
    "slurmctld",
    "munged",
    "worker-cluster-local",
    "worker-default",
    "beat",
    "web",
]
SCRIPT = "#!/bin/bash\nsleep 3\n"


def pid_of(name: str) -> int:
    """0 while it does not run."""
    conf = Stack.directory / "state/supervisor/supervisord.conf"
    words = [Path(sys.prefix).parent / "tools/bin/supervisorctl", "-c", conf, "pid", name]
    done = subprocess.run(words, capture_output=True, text=True)
    return int(done.stdout) if done.stdout.strip().isdecimal() else 0


def kill(name: str) -> int:
    pid = pid_of(name)
    assert pid > 1, f"{name} does not run"
    os.kill(pid, signal.SIGKILL)
    return pid


def is_back(name: str, killed: int) -> bool:
    return pid_of(name) not in (0, killed)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_process_comes_back_and_the_job_happens(long: Visitor, name: str) -> None:
    dies_while_a_job_is_on_its_way(long, name)


def dies_while_a_job_is_on_its_way(visitor: Visitor, name: str) -> None:
    path = submit(visitor, SCRIPT)
    killed = kill(name)
    assert wait_for(lambda: is_back(name, killed), COMES_BACK_S), f"{name} did not come back"
    ended = wait_for(lambda: has_completed(visitor, path), JOB_ENDS_S, every_s=2)
    assert ended, f"no end after {name} was killed: {path}"


def test_after_all_that_every_record_is_charged_once(stack: Stack, long: Visitor) -> None:
    every_record_is_charged_once(stack, long)


def every_record_is_charged_once(stack: Stack, visitor: Visitor) -> None:
    found = stack.reconciled()
    assert (found["residual_gpu_seconds"], found["differences"]) == (0, [])
    assert stack.answer("ledger_verify")["ok"]
    assert stack.answer("cluster_plan", "--cluster", "local")["changes"] == []
    assert wait_for(lambda: visitor.get("/healthz")[0] == 200, COMES_BACK_S)


def has_completed(visitor: Visitor, path: str) -> bool:
    """While it has not, an operator sees to what Slurm leaves to people after a daemon's death."""
    if "Completed" in page_of(visitor, path):
        return True
    with suppress(ClusterError):
        LiveSlurm().give_back()
    return False


def page_of(visitor: Visitor, path: str) -> str:
    """Empty while the portal does not answer."""
    try:
        return visitor.get(path)[1]
    except OSError:
        return ""


def test_people_log_in_and_submit_while_redis_hangs(stack: Stack) -> None:
    """Frozen, not killed: supervisord would have it back before anyone noticed."""
    pid = pid_of("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        visitor = stack.visitor("long")
        path = submit(visitor, SCRIPT)
    finally:
        os.kill(pid, signal.SIGCONT)
    visitor.cookies["django_language"] = "en"
    assert wait_for(lambda: has_completed(visitor, path), JOB_ENDS_S, every_s=2), f"no end after Redis hung: {path}"
