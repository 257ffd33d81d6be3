"""A bound job is followed as Slurm shows it, lost, drifted or run away with."""

from datetime import timedelta

import pytest

from portal.clock import now
from scheduler.jobs.models import Job, Run, UnixAccountSeen
from scheduler.jobs.services import job_cancel
from scheduler.jobs.worker import submission
from scheduler.jobs.worker.cycle import jobs_cycle
from tests.quotas.makers import HOUR, award, balance, programme
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, cycle, cycles, orders

pytestmark = pytest.mark.django_db


def test_it_follows_the_queue(job, slurm, clock):
    attempt(job, slurm)
    slurm.change(101, reason="Resources")
    assert (cycle(job, slurm).state, job.reason) == ("pending", "Resources")
    slurm.start(101)
    assert (cycle(job, slurm).state, job.reason) == ("running", "")
    slurm.change(101, state="SUSPENDED")
    assert cycle(job, slurm).state == "suspended"
    assert Run.objects.get(job=job).started_at is not None


def test_a_job_bound_after_the_queue_was_read_is_not_missing(job, slurm, clock):
    status = slurm.controller_status()
    attempt(job, slurm)
    jobs_cycle("local", [], status, adapter=slurm)
    job.refresh_from_db()
    assert (job.state, job.denied_since) == ("pending", None)


def test_an_ended_job_is_settlements(job, slurm, clock):
    attempt(job, slurm)
    slurm.start(101)
    cycle(job, slurm)
    slurm.forget(101, record_state="COMPLETED", elapsed_s=60)
    cycles(job, slurm, clock, seconds=120)
    assert job.state == "running"  # settlement closes it, with its charge


def test_a_job_that_slurmctld_lost_is_unknown_then_tried_again(job, slurm, clock, allocation):
    attempt(job, slurm)
    held = balance(allocation).held
    clock.shift(timedelta(seconds=20))
    slurm.forget(101, record_state="PENDING")  # slurmdbd keeps a record that will never end
    slurm.booted_at = now()
    clock.shift(timedelta(seconds=15))
    assert cycle(job, slurm).state == "unknown"
    cycles(job, slurm, clock, seconds=20)
    assert (job.state, job.slurm_job_id) == ("queued", None)
    attempt(job, slurm, 2)
    assert (job.state, job.slurm_job_id) == ("pending", 102)
    assert balance(allocation).held == held
    assert Run.objects.get(job=job).job_id_raw == 102


def test_a_lost_job_whose_number_went_to_another_is_not_that_one(job, slurm, clock):
    attempt(job, slurm)
    clock.shift(timedelta(seconds=20))
    slurm.change(101, user="hoa", comment="", submit_at=now())
    slurm.booted_at = now()
    clock.shift(timedelta(seconds=15))
    assert cycle(job, slurm).state == "unknown"
    submission.cancel(job, adapter=slurm)
    assert slurm.cancelled == []


def test_a_running_job_that_was_lost_without_trace_is_not_run_again(job, slurm, clock, allocation):
    attempt(job, slurm)
    slurm.start(101)
    cycle(job, slurm)
    clock.shift(timedelta(seconds=30))
    slurm.forget(101)
    cycles(job, slurm, clock, seconds=60)
    assert job.state == "failed"
    assert balance(allocation).held == 0
    assert len(orders()) == 1


def test_a_job_that_only_slurmdbd_believes_in_stays_unknown(job, slurm, clock, allocation):
    attempt(job, slurm)
    slurm.start(101)
    cycle(job, slurm)
    clock.shift(timedelta(seconds=30))
    slurm.forget(101, record_state="RUNNING")
    cycles(job, slurm, clock, seconds=120)
    assert job.state == "unknown"
    assert balance(allocation).held > 0


def test_a_job_that_comes_back_is_followed_again(job, slurm, clock):
    attempt(job, slurm)
    clock.shift(timedelta(seconds=30))
    kept = slurm.jobs.pop(101)
    cycles(job, slurm, clock, seconds=10)
    assert job.state == "unknown"
    slurm.jobs[101] = kept
    assert cycle(job, slurm).state == "pending"


def test_a_requeued_job_is_the_same_job(job, slurm, clock):
    attempt(job, slurm)
    slurm.start(101)
    cycle(job, slurm)
    clock.shift(timedelta(seconds=60))
    slurm.change(101, state="PENDING", restarts=1, submit_at=now().replace(microsecond=0), start_at=None)
    assert (cycle(job, slurm).state, job.slurm_job_id) == ("pending", 101)
    assert slurm.cancelled == []


def test_one_job_that_breaks_does_not_stop_the_others(submitter, allocation, slurm, clock):
    first, second = submit(submitter, allocation, name="a"), submit(submitter, allocation, name="b")
    attempt(first, slurm)
    attempt(second, slurm)
    slurm.change(101, gpus=None)
    slurm.start(102)
    cycle(second, slurm)
    assert second.state == "running"


def test_a_lost_cancellation_is_asked_for_again(job, slurm, clock, submitter):
    attempt(job, slurm)
    job_cancel(job_id=job.pk, person=submitter)
    cycles(job, slurm, clock, seconds=90)
    assert ("admin", 101) in slurm.cancelled


# --- drift --------------------------------------------------------------------------------------------------------


def held(job: Job) -> int:
    return Run.objects.get(job=job).held_gpu_seconds


def test_more_time_is_held_for_anew(job, slurm, allocation):
    attempt(job, slurm)
    slurm.start(101, time_limit_s=2 * HOUR)
    cycle(job, slurm)
    assert held(job) == balance(allocation).held == 2 * (2 * HOUR + 60)
    assert (job.time_limit_s, slurm.cancelled) == (2 * HOUR, [])


def test_more_gpus_than_the_balance_has_are_cancelled_with_the_reason(job, slurm, allocation):
    attempt(job, slurm)
    before = balance(allocation).held
    slurm.start(101, gpus={"h100": 8}, time_limit_s=40 * HOUR)
    cycle(job, slurm)
    assert slurm.cancelled == [("admin", 101)]
    assert job.reason.startswith("portal:drift")
    assert "balance" in job.reason
    assert balance(allocation).held == before
    cycle(job, slurm)
    assert slurm.cancelled == [("admin", 101)]


def test_less_time_gives_balance_back(job, slurm, allocation):
    attempt(job, slurm)
    slurm.change(101, time_limit_s=HOUR // 2)
    cycle(job, slurm)
    assert balance(allocation).held == 2 * (HOUR // 2 + 60)


def test_an_array_is_cancelled(job, slurm):
    attempt(job, slurm)
    slurm.change(101, array_job_id=101, array_task_count=40, array_tasks="0-39")
    cycle(job, slurm)
    assert slurm.cancelled == [("admin", 101)]


def test_another_allocation_of_the_project_pays_if_it_can(job, slurm, project, allocation):
    other = award(project, programme("h200", h200_hours=1_000), gpu_type="h200")
    attempt(job, slurm)
    slurm.start(101, qos=other.qos, partition="h200", gpus={"h200": 2})
    cycle(job, slurm)
    assert (job.allocation_id, job.gpu_type, job.partition) == (other.pk, "h200", "h200")
    assert (balance(allocation).held, balance(other).held) == (0, 2 * (HOUR + 60))


def test_another_gpu_type_under_the_same_qos_is_cancelled(job, slurm, allocation):
    attempt(job, slurm)
    slurm.start(101, partition="h200", gpus={"h200": 2})
    cycle(job, slurm)
    assert slurm.cancelled == [("admin", 101)]


def test_a_foreign_qos_is_cancelled(job, slurm):
    attempt(job, slurm)
    slurm.start(101, qos="normal")
    cycle(job, slurm)
    assert slurm.cancelled == [("admin", 101)]


def test_a_pending_job_without_a_hold_waits_and_takes_one_at_its_start(job, slurm, allocation):
    from quotas.allocations.services import hold_void

    attempt(job, slurm)
    run = Run.objects.get(job=job)
    hold_void(hold_id=run.hold, event_at=now(), reason="displaced", actor="test")
    Run.objects.update(hold_resolved=True)
    cycle(job, slurm)
    assert balance(allocation).held == 0
    slurm.start(101)
    cycle(job, slurm)
    assert balance(allocation).held == 2 * (HOUR + 60)


def test_time_that_an_administrator_gave_a_running_job_does_not_cancel_it(job, slurm, allocation):
    attempt(job, slurm)
    slurm.start(101)
    cycle(job, slurm)
    slurm.change(101, time_limit_s=1_000 * HOUR)
    cycle(job, slurm)
    assert (slurm.cancelled, job.state) == ([], "running")
    assert balance(allocation).held == 2 * (HOUR + 60)


# --- unix accounts ------------------------------------------------------------------------------------------------


def test_the_worker_writes_down_which_unix_accounts_exist(job, slurm, pi, second_researcher):
    UnixAccountSeen.objects.all().delete()
    slurm.accounts = {"minh"}
    cycle(job, slurm)
    assert dict(UnixAccountSeen.objects.values_list("name", "exists")) == {"minh": True, "hoa": False, "tuan": False}


def test_handlers_are_registered():
    from portal.outbox.registry import handler_for

    assert handler_for("jobs.submit").__module__ == handler_for("jobs.cancel").__module__ == "scheduler.jobs.tasks"
