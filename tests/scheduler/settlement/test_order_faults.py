"""What people ask of a job, with the worker killed at every step: done once, on the real Slurm."""

import signal

import pytest

from portal.clock import now
from portal.outbox.models import Message
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.orders.verbs import job_extend, job_order, task_cancel
from tests.quotas.makers import balance
from tests.scheduler.jobs.dying import worker_copied
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.real import Real
from tests.scheduler.jobs.worker.test_faults import assert_once, recover
from tests.scheduler.settlement.turning import deliver, turn_until

pytestmark = [pytest.mark.slurm, pytest.mark.fault, pytest.mark.django_db(transaction=True)]

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
        done(real, job_order(job_id=job.pk, person=real.person, verb="release"))
        assert line(real, job).reason != "JobHeldUser"
    assert balance(real.allocation).held == 300 + 60


def test_requeue(real):
    job = real.submit(script=SLEEP)
    # Before Slurm is asked nothing is done, and after the commit nothing is left to do: these two could do it twice.
    between = ("order_after_slurm", "order_before_commit")
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
    for point in ("after_sbatch", "before_commit"):
        shape = {"gpus_per_node": 1, "time_limit_s": 300, "script": LATER}
        jobs.append(submit(real.person, real.allocation, name=point, chaining=Chaining(array="0-2"), **shape))
        killed_at(point)
    recover(real, jobs)
    assert_once(real, jobs, tasks=3)
