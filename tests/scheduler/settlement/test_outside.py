"""Jobs submitted without the portal, and the portal's jobs that must give way to them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.outbox.models import Message
from quotas.allocations.services import allocation_suspend
from scheduler.jobs.models import Job, Run
from scheduler.settlement.models import HeldJob
from scheduler.settlement.services import outside_cover, settle, waiting_follow
from tests.scheduler.settlement.conftest import NOON

pytestmark = pytest.mark.django_db


def test_a_pending_job_from_outside_is_shown_and_holds_nothing(cluster, queued_as, balance, researcher):
    outside_cover(cluster=cluster, queue=[queued_as(5, state="PENDING", start_at=None)])
    job = Job.objects.get()
    assert (job.origin, job.state, job.person, job.time_limit_s) == ("outside", "pending", researcher, 60)
    assert job.runs.get().hold is None
    assert balance().held == 0


def test_it_takes_its_hold_when_slurm_starts_it(cluster, queued_as, record_of, balance):
    outside_cover(cluster=cluster, queue=[queued_as(5, state="PENDING", start_at=None)])
    running = queued_as(5, gpus={"h100": 2})
    assert outside_cover(cluster=cluster, queue=[running]).whole == 1
    assert outside_cover(cluster=cluster, queue=[running]).whole == 0
    assert balance().held == 2 * (60 + 60)
    assert Job.objects.get().state == Job.State.RUNNING
    settle(cluster=cluster, records=[record_of(5, gpus={"h100": 2})])
    assert (balance().held, balance().consumed) == (0, 120)
    # squeue shows it for a while after its end.
    outside_cover(cluster=cluster, queue=[replace(running, state="COMPLETING")])
    assert (Job.objects.get().state, balance().held) == (Job.State.COMPLETED, 0)


def test_each_task_of_an_array_has_its_own_hold(cluster, queued_as, balance):
    waiting = queued_as(10, state="PENDING", start_at=None, array_job_id=10, array_tasks="1-3%2", array_task_count=3)
    outside_cover(cluster=cluster, queue=[waiting])
    tasks = [queued_as(10 + task, array_job_id=10, array_tasks=str(task)) for task in (1, 2)]
    rest = replace(waiting, array_tasks="3", array_task_count=1)
    assert outside_cover(cluster=cluster, queue=[*tasks, rest]).whole == 2
    job = Job.objects.get()
    assert (job.state, job.runs.count(), balance().held) == ("running", 3, 240)


def test_other_peoples_jobs_are_not_ours(cluster, queued_as):
    outside_cover(cluster=cluster, queue=[queued_as(5, account="physics")])
    assert not Job.objects.exists()


def test_a_cpu_job_takes_no_hold(cluster, queued_as, balance):
    outside_cover(cluster=cluster, queue=[queued_as(5, gpus={})])
    assert (Job.objects.get().state, balance().held) == ("running", 0)


def test_the_portals_own_jobs_are_left_alone(cluster, queued_as, portal_job, balance):
    run = portal_job(5, held=77)
    outside_cover(cluster=cluster, queue=[queued_as(5)])
    run.refresh_from_db()
    assert (Job.objects.count(), run.state, run.held_gpu_seconds, balance().held) == (1, "running", 77, 77)


def test_a_started_job_displaces_the_youngest_holds_only_as_far_as_needed(
    cluster, queued_as, portal_job, balance, slurm, researcher
):
    runs = [portal_job(number, held=30_000, submit_at=NOON + timedelta(minutes=number)) for number in (1, 2, 3)]
    pending = [
        queued_as(
            number, submit_at=NOON + timedelta(minutes=number), state="PENDING", start_at=None, time_limit_s=29_940
        )
        for number in (1, 2, 3)
    ]
    slurm.jobs = [*pending, queued_as(9, gpus={"h100": 8}, time_limit_s=3_600)]
    done = outside_cover(cluster=cluster, queue=slurm.jobs)
    assert (done.whole, done.displaced) == (1, 1)
    assert [Run.objects.get(pk=run.pk).hold_resolved for run in runs] == [False, False, True]
    assert balance().held == 2 * 30_000 + 8 * 3_660
    held = HeldJob.objects.get()
    assert (held.job_id, held.why) == (runs[2].job_id, "displaced")
    mail = Message.objects.get(topic="mail.send")
    assert mail.payload["to"] == [researcher.email]
    assert "train" in mail.payload["subject"]
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    assert slurm.asked == [("hold", "3")]


def test_a_displaced_job_goes_on_when_the_balance_reaches_again(
    cluster, queued_as, portal_job, record_of, balance, slurm
):
    run = portal_job(1, held=120)
    slurm.jobs = [
        queued_as(1, state="PENDING", start_at=None),
        queued_as(9, gpus={"h100": 1}, time_limit_s=99_900),
    ]
    outside_cover(cluster=cluster, queue=slurm.queue())
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    settle(cluster=cluster, records=[record_of(9)])
    slurm.jobs = slurm.jobs[:1]
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    assert slurm.asked == [("hold", "1"), ("release", "1")]
    assert not HeldJob.objects.exists()
    run.refresh_from_db()
    assert (run.hold_resolved, run.held_gpu_seconds, balance().held) == (False, 120, 120)


def test_a_job_that_cannot_be_released_now_is_released_in_the_next_cycle(
    cluster, queued_as, portal_job, slurm, monkeypatch
):
    from scheduler.clusters.adapters.protocol import ClusterUnreachable

    run = portal_job(1)
    HeldJob.objects.create(job=run.job, cluster=cluster, why="displaced", since=NOON)
    slurm.jobs = [queued_as(1, state="PENDING", start_at=None, reason="JobHeldAdmin")]
    with monkeypatch.context() as patched:
        patched.setattr(slurm, "job_release", _away(ClusterUnreachable("away")))
        waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    assert HeldJob.objects.exists()
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    assert (slurm.asked, HeldJob.objects.exists()) == ([("release", "1")], False)


def _away(error):
    def ask(**ignored):
        raise error

    return ask


def test_what_no_balance_reaches_for_is_held_in_part_and_overrun_comes_only_with_the_charge(
    cluster, queued_as, record_of, balance
):
    running = queued_as(9, gpus={"h100": 8}, time_limit_s=36_000)
    assert outside_cover(cluster=cluster, queue=[running]).partly == 1
    assert (balance().held, balance().overrun) == (100_000, 0)
    assert outside_cover(cluster=cluster, queue=[queued_as(8)]).not_at_all == 1
    settle(cluster=cluster, records=[record_of(9, elapsed_s=20_000, gpus={"h100": 8})])
    assert (balance().held, balance().consumed, balance().overrun) == (0, 160_000, 60_000)


def test_a_job_that_runs_in_a_suspended_allocation_is_charged_all_the_same(
    cluster, queued_as, record_of, allocation, balance, operator
):
    allocation_suspend(allocation_id=allocation.pk, reason="test", actor=operator)
    assert outside_cover(cluster=cluster, queue=[queued_as(9)]).not_at_all == 1
    settle(cluster=cluster, records=[record_of(9)])
    assert balance().consumed == 60


def test_only_jobs_that_squeue_shows_as_pending_give_way(cluster, queued_as, portal_job, balance):
    run = portal_job(1, held=99_950)
    outside_cover(cluster=cluster, queue=[queued_as(9)])
    run.refresh_from_db()
    assert (run.hold_resolved, balance().held) == (False, 100_000)


def test_a_requeued_portal_job_without_a_hold_is_held_in_slurm(cluster, queued_as, portal_job, slurm, record_of):
    portal_job(1)
    settle(cluster=cluster, records=[record_of(2, elapsed_s=99_879)])
    again = NOON + timedelta(minutes=5)
    slurm.jobs = [queued_as(1, submit_at=again, state="PENDING", start_at=None, restarts=1)]
    settle(cluster=cluster, records=[record_of(1, elapsed_s=115, state="NODE_FAIL")], queue=slurm.queue())
    outside_cover(cluster=cluster, queue=slurm.queue())
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    assert slurm.asked == [("hold", "1")]
    assert Job.objects.filter(origin="portal").get().runs.count() == 2
