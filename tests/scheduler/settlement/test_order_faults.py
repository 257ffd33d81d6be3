"""What people ask of a job, with the worker killed at every step: done once, on the real Slurm.

By default at the steps that could do it twice or not at all; with SOAK=1 at all of them.
"""

import os
import signal

import pytest

from portal.clock import now
from portal.outbox.models import Message
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.orders.verbs import job_extend, job_order, task_cancel
from scheduler.jobs.services import job_cancel
from tests.quotas.makers import balance
from tests.scheduler.jobs.dying import worker_copied
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.real import Real, open_to_jobs
from tests.scheduler.jobs.worker.test_faults import assert_once, recover
from tests.scheduler.settlement.turning import deliver, turn_until

pytestmark = [pytest.mark.slurm, pytest.mark.django_db(transaction=True)]  # who dies is a worker of its own

SOAK = "SOAK" in os.environ
STEPS = ("order_before", "order_after_slurm", "order_before_commit", "order_after")
LATER = "#!/bin/bash\n#SBATCH --begin=now+1hour\ntrue\n"
SLEEP = "#!/bin/bash\nsleep 600\n"
MINUTE = 60


def killed_at(point: str) -> None:
    """A worker that found Slurm in the middle of something comes again, and dies then."""
    for _attempt in range(5):
        Message.objects.filter(delivered_at=None).update(due_at=now())
        ended = worker_copied(dies_at=point)
        if ended == -signal.SIGKILL:
            return
        assert ended == 0
    raise AssertionError(point)


def done(real: Real, order: Order) -> None:
    """What the worker does when it is back."""
    turn_until(real, lambda: Order.objects.get(pk=order.pk).state != "asked")
    order.refresh_from_db()
    assert order.state == "done", order.reason


def line(real: Real, job: Job):
    (found,) = [one for one in real.adapter.queue(job_ids=[job.slurm_job_id]) if one.state in ("PENDING", "RUNNING")]
    return found


def test_hold_and_release(real):
    job = real.submit(script=LATER)
    for point in STEPS:
        order = job_order(job_id=job.pk, person=real.person, verb="hold")
        killed_at(point)
        done(real, order)
        assert line(real, job).reason == "JobHeldUser", point
        release = job_order(job_id=job.pk, person=real.person, verb="release")
        if SOAK:
            killed_at(point)
        done(real, release)
        assert line(real, job).reason != "JobHeldUser"
    assert balance(real.allocation).held == 300 + 60


def test_requeue(real):
    job = real.submit(script=SLEEP)
    # Before Slurm is asked nothing is done, and after the commit nothing is left to do: these two could do it twice.
    between = STEPS if SOAK else ("order_after_slurm", "order_before_commit")
    for restarts, point in enumerate(between, start=1):
        turn_until(real, lambda: Run.objects.filter(job=job, state="running", ended_at=None).exists())
        order = job_order(job_id=job.pk, person=real.person, verb="requeue")
        killed_at(point)
        done(real, order)
        deliver(real)
        assert line(real, job).restarts == restarts, point
    turn_until(real, lambda: Run.objects.filter(job=job, state="running", ended_at=None).exists())
    assert Run.objects.filter(job=job).count() == len(between) + 1
    assert balance(real.allocation).held == 300 + 60


def test_more_time(real):
    job = real.submit(script=SLEEP)
    turn_until(real, lambda: Run.objects.filter(job=job, state="running").exists())
    for number, point in enumerate(STEPS, start=1):
        time_limit_s = (5 + 10 * number) * MINUTE
        order = job_extend(job_id=job.pk, person=real.person, time_limit_s=time_limit_s)
        killed_at(point)
        done(real, order)
        job.refresh_from_db()
        assert job.time_limit_s == line(real, job).time_limit_s == time_limit_s, point
        assert balance(real.allocation).held == time_limit_s + 60


def test_one_task_of_an_array(real):
    job = real.submit(script=LATER, chaining=Chaining(array="0-9"))
    for task, point in enumerate(STEPS):
        order = task_cancel(job_id=job.pk, person=real.person, task=task)
        killed_at(point)
        done(real, order)
        assert Run.objects.get(job=job, array_task=task).hold_resolved, point
    assert line(real, job).array_tasks == "4-9"
    assert balance(real.allocation).held == 6 * (300 + 60)


def test_an_array_is_submitted_once(real):
    jobs = []
    every = ("before_sbatch", "after_sbatch", "before_commit", "after_commit")
    for point in every if SOAK else ("after_sbatch", "before_commit"):
        shape = {"gpus_per_node": 1, "time_limit_s": 300, "script": LATER}
        jobs.append(submit(real.person, real.allocation, name=point, chaining=Chaining(array="0-2"), **shape))
        killed_at(point)
    recover(real, jobs)
    assert_once(real, jobs, tasks=3)


def test_cancelled(real):
    """What waits, what runs, and what nobody knows yet whether Slurm has it."""
    asked = [real.submit(script=SLEEP if SOAK and number else LATER) for number in range(2)]
    for job, point in zip(asked, ("cancel_after_slurm", "cancel_before"), strict=True):
        job_cancel(job_id=job.pk, person=real.person)
        killed_at(point)
    for point in ("before_sbatch", "after_sbatch", "before_commit") if SOAK else ("after_sbatch",):
        job = submit(real.person, real.allocation, name=point, script=LATER, gpus_per_node=1, time_limit_s=300)
        killed_at(point)
        asked.append(job_cancel(job_id=job.pk, person=real.person))
    turn_until(real, lambda: not Job.objects.filter(state__in=Job.OPEN_STATES).exists(), within_s=120)
    for job in asked:
        job.refresh_from_db()
        assert job.state == Job.State.CANCELLED, job.name
        assert len(real.jobs_in_slurm(job)) <= 1, job.name
    assert balance(real.allocation).held == 0


@pytest.mark.skipif(not SOAK, reason="with SOAK=1")
def test_more_time_that_is_undone(real, place):
    """Slurm gave it, and what started meanwhile had taken the room: taken back once, whoever dies over it."""
    job = real.submit(script=SLEEP)
    turn_until(real, lambda: Run.objects.filter(job=job, state="running").exists())
    order = job_extend(job_id=job.pk, person=real.person, time_limit_s=15 * MINUTE)
    killed_at("order_after_slurm")
    real.adapter.qos_modify(name=place.qos, grp_tres_mins={"gres/gpu": 10, "gres/gpu:h100": 10})
    try:
        killed_at("order_after_undo")
        turn_until(real, lambda: Order.objects.get(pk=order.pk).state != "asked")
    finally:
        open_to_jobs(real.adapter, place)
    assert Order.objects.get(pk=order.pk).reason.startswith("portal:extend_no_room")
    assert line(real, job).time_limit_s == 300
    assert balance(real.allocation).held == 300 + 60
