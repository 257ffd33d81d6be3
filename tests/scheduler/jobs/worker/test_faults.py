"""Each step of a submission, killed; slurmctld, killed and hung: every job exists once or is cleanly refused.

The worker that dies is a process of its own, at a point that SAOLA_FAULT_POINT names; slurmctld is the test stack's.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from django.conf import settings
from django.db import connections

from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from quotas.ledger.models import Transfer
from scheduler.clusters.adapters import ClusterError
from scheduler.clusters.services import snapshot_take
from scheduler.jobs.models import Job, Run
from scheduler.jobs.worker.cycle import cluster_away, jobs_cycle
from tests.quotas.makers import balance
from tests.scheduler.jobs.dying import worker, worker_copied
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.real import Real

pytestmark = [pytest.mark.slurm, pytest.mark.fault, pytest.mark.django_db(transaction=True)]

QUEUE = "cluster.local"
WAITS = "#!/bin/bash\n#SBATCH --begin=now+1hour\ntrue\n"  # exists, and stays in the queue


def slurmctld_pid() -> int:
    conf = Path(settings.SLURM["local"]["slurm_conf"]).read_text()
    found = re.search(r"^SlurmctldPidFile=(\S+)", conf, re.MULTILINE)
    assert found
    return int(Path(found[1]).read_text())


def slurmctld(what: signal.Signals) -> None:
    os.kill(slurmctld_pid(), what)


def answering(real: Real, *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with suppress(ClusterError):
            real.adapter.controller_status()
            return
        assert time.monotonic() < deadline


def wait(real: Real, name: str) -> Job:
    return submit(real.person, real.allocation, name=name, script=WAITS, gpus_per_node=1, time_limit_s=300)


def recover(real: Real, jobs: list[Job], *, timeout_s: float = 180) -> None:
    """What the worker does when it is back: deliver, cycle, again; until every job is in Slurm."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            look = snapshot_take(cluster=real.cluster, adapter=real.adapter)
        except ClusterError:
            cluster_away("local")
        else:
            messages_deliver(queue=QUEUE)
            jobs_cycle("local", look.queue, look.status, adapter=real.adapter)
        for job in jobs:
            job.refresh_from_db()
        with suppress(ClusterError):
            if all(job.state == Job.State.PENDING and lines_of(real, job) == [job.slurm_job_id] for job in jobs):
                return
        states = [(job.name, job.state, job.reason) for job in jobs]
        assert time.monotonic() < deadline, states
        time.sleep(1)


def lines_of(real: Real, job: Job) -> list[int]:
    return [line.job_id for line in real.adapter.queue() if line.comment == str(job.pk)]


def assert_once(real: Real, jobs: list[Job], *, tasks: int = 1) -> None:
    for job in jobs:
        assert lines_of(real, job) == [job.slurm_job_id], job.name
        assert Run.objects.filter(job=job).count() == tasks
    assert Transfer.objects.filter(kind=Transfer.Kind.HOLD).count() == len(jobs) * tasks
    assert balance(real.allocation).held == sum(run.held_gpu_seconds for run in Run.objects.all())


def in_background(call: Callable[[], object]) -> Thread:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    return thread


def test_a_worker_killed_at_any_step_leaves_one_job(real):
    jobs = []
    for point in ("before_sbatch", "after_sbatch", "before_commit", "after_commit"):
        jobs.append(wait(real, point))
        # One of them as the stack begins a worker: the point is named by its environment there.
        died = worker(dies_at=point).wait(60) if point == "after_sbatch" else worker_copied(dies_at=point)
        assert died == -signal.SIGKILL, point
    states = {job.name: Job.objects.get(pk=job.pk).state for job in jobs}
    assert states == {
        "before_sbatch": "submitting",
        "after_sbatch": "submitting",
        "before_commit": "submitting",
        "after_commit": "pending",
    }
    recover(real, jobs)
    assert_once(real, jobs)
    attempts = {job.name: job.attempts for job in jobs}
    assert attempts == {"before_sbatch": 2, "after_sbatch": 1, "before_commit": 1, "after_commit": 1}
    assert not Message.objects.filter(topic="jobs.submit", delivered_at=None).exists()


def test_a_worker_killed_while_sbatch_waits_for_a_dead_slurmctld(real):
    job = wait(real, "sbatch waits")
    stop = Event()

    def keep_dead() -> None:
        while not stop.wait(0.2):
            with suppress(OSError, ValueError):
                slurmctld(signal.SIGKILL)

    killer = in_background(keep_dead)
    try:
        time.sleep(0.5)
        dying = worker()
        deadline = time.monotonic() + 20
        while Job.objects.get(pk=job.pk).state == "queued" and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)
        dying.kill()  # only the worker: sudo, the wrapper and sbatch live on
        dying.wait()
        assert Job.objects.get(pk=job.pk).state == "submitting"
    finally:
        stop.set()
        killer.join()
    answering(real)
    recover(real, [job])
    assert_once(real, [job])


def test_slurmctld_stopped_killed_and_hung_leaves_each_job_once(real):
    kept = wait(real, "before a clean stop")
    messages_deliver(queue=QUEUE)
    slurmctld(signal.SIGTERM)
    time.sleep(1)
    answering(real)

    lost = [wait(real, f"before kill -9, {number}") for number in range(3)]
    messages_deliver(queue=QUEUE)
    slurmctld(signal.SIGKILL)  # right after it acknowledged them
    time.sleep(1)
    answering(real)

    hung = wait(real, "while it hangs")
    pid = slurmctld_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        delivering = in_background(lambda: messages_deliver(queue=QUEUE))
        delivering.join(60)
        hung.refresh_from_db()
        assert hung.state == "unknown"  # sbatch gave up after MessageTimeout; slurmctld will still take the job
    finally:
        os.kill(pid, signal.SIGCONT)

    jobs = [kept, *lost, hung]
    recover(real, jobs)
    time.sleep(12)  # longer than MessageTimeout: nothing appears late
    recover(real, jobs)
    assert_once(real, jobs)
    assert hung.attempts == kept.attempts == 1
    print("tried again after kill -9:", [job.attempts for job in lost])


def test_a_refusal_while_slurmctld_is_away_is_tried_again(real):
    job = wait(real, "nobody home")
    stop = Event()

    def keep_dead() -> None:
        while not stop.wait(0.2):
            with suppress(OSError, ValueError):
                slurmctld(signal.SIGKILL)

    killer = in_background(keep_dead)
    try:
        time.sleep(0.5)
        messages_deliver(queue=QUEUE)
    finally:
        stop.set()
        killer.join()
    job.refresh_from_db()
    assert job.state in ("queued", "unknown")
    answering(real)
    recover(real, [job])
    assert_once(real, [job])
