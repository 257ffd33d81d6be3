"""Everything of the first issue that may happen to the stack, by name; each returns when what it hit is back."""

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial

from tests.scheduler.jobs.dying import worker
from tests.stack.conftest import wait_for
from tests.stack.test_processes_die import COMES_BACK_S, PROGRAMS, is_back, pid_of

# Longer than MessageTimeout, in which whoever asks slurmctld gives up.
HANGS_S = 12
WORKER_ENDS_S = 90
SUBMISSION_STEPS = ("before_sbatch", "after_sbatch", "before_commit", "after_commit")
ORDER_STEPS = ("order_before", "order_after_slurm", "order_before_commit", "order_after")
CANCEL_STEPS = ("cancel_before", "cancel_after_slurm")
UNDER = ("redis", "postgresql", "mariadb", "slurmdbd", "munged")  # what the portal and Slurm stand on

Fault = Callable[[], bool]  # whether it hit: a worker that finds nothing to do does not die


def _signalled(name: str, what: signal.Signals) -> bool:
    assert wait_for(lambda: pid_of(name) > 1, COMES_BACK_S), f"{name} does not run"
    pid = pid_of(name)
    os.kill(pid, what)
    assert wait_for(lambda: is_back(name, pid), COMES_BACK_S), f"{name} did not come back"
    return True


def _hung(name: str, for_s: float) -> bool:
    assert wait_for(lambda: pid_of(name) > 1, COMES_BACK_S), f"{name} does not run"
    pid = pid_of(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(for_s)
    finally:
        os.kill(pid, signal.SIGCONT)
    return True


def _worker_dies(step: str) -> bool:
    """One more worker beside the stack's own, which takes what is due there and dies at this step of it."""
    return worker(dies_at=step).wait(WORKER_ENDS_S) == -signal.SIGKILL


def faults() -> dict[str, Fault]:
    killed = {f"{name} -9": partial(_signalled, name, signal.SIGKILL) for name in PROGRAMS}
    steps = {
        f"worker -9 at {step}": partial(_worker_dies, step) for step in (*SUBMISSION_STEPS, *ORDER_STEPS, *CANCEL_STEPS)
    }
    return {
        **killed,
        **steps,
        "slurmctld stopped": partial(_signalled, "slurmctld", signal.SIGTERM),
        "slurmctld hangs": partial(_hung, "slurmctld", HANGS_S),
        "redis hangs": partial(_hung, "redis", 3),
    }


def some(chance: random.Random) -> list[str]:
    """A few of every sort, in any order."""
    names = list(faults())
    steps = [name for name in names if name.startswith("worker -9 at")]
    slurm = [name for name in names if name.startswith("slurmctld")]
    under = [name for name in names if name.split()[0] in UNDER]
    portal = [name for name in names if name not in (*steps, *slurm, *under)]
    taken = [*chance.sample(steps, 3), *chance.sample(slurm, 1), *chance.sample(under, 2), *chance.sample(portal, 1)]
    return chance.sample(taken, len(taken))
