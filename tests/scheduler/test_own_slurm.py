"""A Slurm of a test's own runs jobs beside the test stack's, and nothing of it is left."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.scheduler.live import LiveSlurm, wait_for
from tests.scheduler.own_slurm import Partition, own_slurm

pytestmark = pytest.mark.slurm


def runs(pid: int) -> bool:
    with suppress(FileNotFoundError):  # also of one that ended and was not waited for
        return bool(os.readlink(f"/proc/{pid}/exe"))
    return False


def test_it_runs_a_job_and_is_gone_with_it() -> None:
    with own_slurm(cluster="south", partitions=(Partition("h200", "h200", nodes=1),), gpus_per_node=4) as slurm:
        live = slurm.live()
        assert [(node.name, node.gpus) for node in live.adapter().nodes()] == [("gpu001", {"h200": 4})]
        who = live.researchers[0]
        live.change_tree("add", "account", "name=guests", "cluster=south")
        live.admin("sacctmgr", "-i", "add", "qos", "name=any")
        live.change_tree("add", "user", f"name={who}", "account=guests", "cluster=south", "qos=any", "defaultqos=any")
        told = Path(live.home(who), slurm.directory.name)
        script = f"#!/bin/sh\necho $$ > {told}.new && mv {told}.new {told}\nsleep 600\n"
        assert not live.sbatch(who, "--gres=gpu:h200:1", "--time=10", script=script).code
        wait_for("the job", told.exists)
        job = int(told.read_text())
        told.unlink()
        assert runs(job)
        assert "slurm_script" in Path(f"/proc/{job}/cmdline").read_text()
        daemons = [process.pid for process in slurm.daemons.values()]
        place = slurm.directory
    wait_for("its processes to be gone", lambda: not [pid for pid in (job, *daemons) if runs(pid)], 5)
    assert not place.exists()
    assert not list(Path("/etc/sudoers.d").glob(f"*{place.name}"))
    assert LiveSlurm().adapter().nodes()  # the stack's is as it was
