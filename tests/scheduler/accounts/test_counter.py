"""slurmctld killed with -9 forgets what its counters gained since it last saved them. The limit makes up for it.

The lost GPU-seconds are charged here as settlement charges them. Restarts a shared slurmctld: it is away for seconds.
"""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from scheduler.accounts.models import LimitReading
from scheduler.clusters.adapters.protocol import ClusterError
from tests.quotas import makers
from tests.scheduler.accounts.conftest import Site
from tests.scheduler.live import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.fault, pytest.mark.django_db]


def slurmctld_pid(site: Site) -> int:
    conf = f"SLURM_CONF={site.slurm.how['slurm_conf']}".encode()
    for entry in Path("/proc").iterdir():
        try:
            is_slurmctld = entry.name.isdigit() and (entry / "comm").read_text() == "slurmctld\n"
            if is_slurmctld and conf in (entry / "environ").read_bytes().split(b"\0"):
                return int(entry.name)
        except OSError:
            continue
    return 0


def answers(site: Site) -> bool:
    try:
        return site.adapter.controller_status().answered_at is not None
    except ClusterError:
        return False


def used(site: Site, qos: str) -> int:
    return site.adapter.qos_usage([qos])[qos].usage_raw_gpu_seconds


def test_a_lost_counter_is_made_up_for_within_a_cycle(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    allocation = site.award(gpu_seconds=6_000)
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    options = [*site.place(allocation), "--gres=gpu:h100:8", "--time=2"]
    job_id = int(site.slurm.sbatch(alice, *options, script="#!/bin/sh\nsleep 20\n").out)
    wait_for("the job to run", lambda: site.running(allocation) == 8)
    wait_for("the job to end", lambda: site.running(allocation) == 0, 60)
    (record,) = wait_for(
        "its record", lambda: [row for row in site.adapter.records(job_ids=[job_id]) if row.is_final], 30
    )
    gpu_seconds = record.elapsed_s * 8
    hold_id = makers.hold(allocation, "lost", 8 * 180)
    makers.charge(allocation, "lost", gpu_seconds, hold_id=hold_id)
    assert used(site, allocation.qos) == gpu_seconds  # a job's end brings the counter up to the second
    site.cycle()
    assert site.minutes(allocation) == 100

    os.kill(slurmctld_pid(site), signal.SIGKILL)
    began = time.monotonic()
    wait_for("slurmctld to be back", lambda: answers(site), 60)
    back_s = time.monotonic() - began
    left = used(site, allocation.qos)
    applied = site.cycle()
    assert applied.left.changes == []
    reading = LimitReading.objects.get(qos=allocation.qos)
    with capsys.disabled():
        print(
            "\ncounter: "
            + json.dumps(
                {
                    "charged_gpu_seconds": gpu_seconds,
                    "counter_after_kill_gpu_seconds": left,
                    "gap_gpu_seconds": reading.counter_gap_gpu_seconds,
                    "limit_minutes": reading.wanted_minutes,
                    "slurmctld_back_s": round(back_s, 1),
                }
            )
        )
    assert reading.counter_gap_gpu_seconds == gpu_seconds - left
    assert site.minutes(allocation) == (6_000 - (gpu_seconds - left)) // 60
    # What can still be used is what the ledger says is left, to the minute.
    remaining = site.minutes(allocation) * 60 - left
    assert 0 <= (6_000 - gpu_seconds) - remaining < 60
    assert site.cycle().done == []
