"""One attempt and what follows, with the real PostgreSQL and a Slurm in memory."""

from datetime import timedelta

import pytest
import time_machine

from portal.clock import now
from portal.outbox.models import Message
from quotas.ledger.models import Transfer
from scheduler.clusters.adapters.protocol import SubmissionNotBegun, SubmissionRefused, SubmissionUnknown
from scheduler.jobs import submission
from scheduler.jobs.cycle import cluster_away, jobs_cycle
from scheduler.jobs.lookup import ACCOUNT_LATE_S, ATTEMPT_LASTS_S, TRIED_FOR_S
from scheduler.jobs.models import Job, Run, UnixAccountSeen
from scheduler.jobs.services import job_cancel
from tests.quotas.makers import HOUR, award, balance, programme
from tests.scheduler.jobs.fake import FakeSlurm
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def slurm() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def job(submitter, allocation) -> Job:
    return submit(submitter, allocation)


@pytest.fixture
def clock():
    """Time stands still until a test moves it."""
    with time_machine.travel(now(), tick=False) as traveller:
        yield traveller


def attempt(job: Job, slurm: FakeSlurm, number: int = 1) -> Job:
    submission.attempt(job_id=job.pk, number=number, adapter=slurm)
    job.refresh_from_db()
    return job


def cycle(job: Job, slurm: FakeSlurm) -> Job:
    jobs_cycle("local", slurm.queue(), slurm.controller_status(), adapter=slurm)
    job.refresh_from_db()
    return job


def cycles(job: Job, slurm: FakeSlurm, clock, *, seconds: int, every: int = 5) -> Job:
    for _ in range(0, seconds, every):
        clock.shift(timedelta(seconds=every))
        cycle(job, slurm)
    return job


def orders(topic: str = "jobs.submit") -> list[dict]:
    return list(Message.objects.filter(topic=topic).order_by("id").values_list("payload", flat=True))


# --- an attempt ---------------------------------------------------------------------------------------------------


def test_an_attempt_binds_the_job_to_what_squeue_shows(job, slurm):
    attempt(job, slurm)
    run = Run.objects.get(job=job)
    assert (job.state, job.slurm_job_id, job.attempts) == ("pending", 101, 1)
    assert job.slurm_submit_at == slurm.jobs[101].submit_at
    assert (run.job_id_raw, run.submit_at) == (101, slurm.jobs[101].submit_at)


def test_the_request_carries_everything_and_nothing_of_the_portal(job, slurm):
    attempt(job, slurm)
    [request] = slurm.requests
    assert (request.key, request.unix_account, request.account) == (job.pk, "minh", "sl-mo-hinh-tieng-viet")
    assert (request.qos, request.partition, request.gpu_type) == (job.allocation.qos, "h100", "h100")
    assert (request.nodes, request.gpus_per_node, request.time_limit_s) == (1, 2, HOUR)
    assert request.script == job.script


def test_delivered_twice_it_submits_once(job, slurm):
    attempt(job, slurm)
    attempt(job, slurm)
    assert len(slurm.requests) == 1


def test_a_message_redelivered_after_a_crash_does_not_submit(job, slurm):
    Job.objects.filter(pk=job.pk).update(state="submitting", attempts=1, attempted_at=now(), last_attempt_at=now())
    attempt(job, slurm)
    assert slurm.requests == []
    assert job.state == "submitting"


def test_a_job_cancelled_before_the_attempt_is_not_submitted(job, slurm, submitter):
    job_cancel(job_id=job.pk, person=submitter)
    assert attempt(job, slurm).state == "cancelled"
    assert slurm.requests == []


@pytest.mark.parametrize("code", ["qos_limit", "time_limit", "invalid_partition"])
def test_a_named_refusal_gives_the_hold_back(job, slurm, allocation, code):
    slurm.on_submit = [SubmissionRefused(code, "Batch job submission failed: no")]
    attempt(job, slurm)
    assert (job.state, job.slurm_job_id) == ("refused", None)
    assert code in job.reason
    assert "submission failed" in job.reason
    assert balance(allocation).held == 0
    assert Run.objects.get(job=job).hold_resolved


def test_a_controller_that_was_never_reached_is_tried_again_later(job, slurm, allocation):
    slurm.on_submit = [SubmissionRefused("connect_failure", "Unable to contact slurm controller")]
    attempt(job, slurm)
    assert (job.state, job.attempts) == ("queued", 1)
    assert balance(allocation).held > 0
    second = Message.objects.get(key=f"{job.pk}:2")
    assert second.due_at > now()
    assert attempt(job, slurm, 2).state == "pending"
    assert len(slurm.jobs) == 1


@pytest.mark.parametrize("code", ["invalid_account", "invalid_qos"])
def test_an_account_that_slurm_does_not_know_yet_is_tried_again_and_then_refused(job, slurm, allocation, code):
    slurm.on_submit = [SubmissionRefused(code, "Invalid")]
    assert attempt(job, slurm).state == "queued"
    assert balance(allocation).held > 0
    long_ago = now() - timedelta(seconds=ACCOUNT_LATE_S + 1)
    Job.objects.filter(pk=job.pk).update(attempted_at=long_ago)
    slurm.on_submit = [SubmissionRefused(code, "Invalid")]
    assert attempt(job, slurm, 2).state == "refused"
    assert balance(allocation).held == 0


def test_a_controller_away_for_a_day_refuses_the_job(job, slurm, allocation):
    Job.objects.filter(pk=job.pk).update(attempted_at=now() - timedelta(seconds=TRIED_FOR_S + 1))
    slurm.on_submit = [SubmissionRefused("connect_failure", "Unable to contact slurm controller")]
    assert attempt(job, slurm).state == "refused"
    assert balance(allocation).held == 0


@pytest.mark.parametrize("error", [SubmissionUnknown("Socket timed out"), RuntimeError("the pipe broke")])
def test_anything_else_is_unknown_and_keeps_the_hold(job, slurm, allocation, error):
    slurm.on_submit = [error]
    attempt(job, slurm)
    assert job.state == "unknown"
    assert balance(allocation).held > 0
    assert len(orders()) == 1


def test_a_claimed_number_that_is_somebody_elses_job_is_not_believed(job, slurm):
    """slurmctld died after it acknowledged the job and gave the number to the next submission, of anyone."""
    number = slurm.next_id + 1
    slurm.submit, accept = None, slurm.accept

    def lying(request):
        slurm.requests.append(request)
        accept(request, user="hoa", comment="")
        return number

    slurm.submit = lying
    attempt(job, slurm)
    assert (job.state, job.slurm_job_id) == ("unknown", None)


@pytest.mark.parametrize("other", [{"user": "hoa"}, {"account": "sl-x"}, {"qos": "x"}, {"comment": "x"}])
def test_a_job_that_differs_in_anything_is_not_bound(job, slurm, other):
    accept = slurm.accept
    slurm.accept = lambda request: accept(request, **other)
    assert attempt(job, slurm).state == "unknown"


def test_a_worker_that_was_stopped_too_long_before_sbatch_leaves_it(job, slurm, monkeypatch, clock):
    monkeypatch.setattr(submission.faults, "reach", lambda point: clock.shift(timedelta(seconds=10)))
    attempt(job, slurm)
    assert (slurm.requests, job.state) == ([], "submitting")


# --- several of one researcher ------------------------------------------------------------------------------------


def test_what_the_same_researcher_has_waiting_is_taken_along(submitter, allocation, slurm):
    jobs = [submit(submitter, allocation, name=f"n{number}") for number in range(3)]
    attempt(jobs[0], slurm)
    assert [request.name for request in slurm.requests] == ["n0", "n1", "n2"]
    for job in jobs:
        job.refresh_from_db()
        assert (job.state, job.attempts) == ("pending", 1)
    # The other two orders are carried out; the first is its relay's to close.
    assert Message.objects.filter(topic="jobs.submit", delivered_at=None).count() == 1
    attempt(jobs[1], slurm)
    assert len(slurm.requests) == 3


def test_nobody_elses_and_nothing_that_is_not_due_is_taken_along(submitter, second_researcher, allocation, slurm):
    first, later = submit(submitter, allocation, name="first"), submit(submitter, allocation, name="later")
    submit(second_researcher, allocation, name="another")
    Message.objects.filter(key=f"{later.pk}:1").update(due_at=now() + timedelta(minutes=1))
    attempt(first, slurm)
    assert [request.name for request in slurm.requests] == ["first"]


def test_each_of_several_has_its_own_outcome(submitter, allocation, slurm):
    jobs = [submit(submitter, allocation, name=f"n{number}") for number in range(4)]
    outcomes = iter(
        [None, SubmissionRefused("qos_limit", "no"), SubmissionUnknown("timeout"), SubmissionNotBegun("late")]
    )
    accept = slurm.accept

    def one(request):
        outcome = next(outcomes)
        if outcome:
            raise outcome
        return accept(request)

    slurm.submit = one
    slurm.submit_many = lambda requests: FakeSlurm.submit_many(slurm, requests)
    attempt(jobs[0], slurm)
    states = [Job.objects.get(pk=job.pk).state for job in jobs]
    assert states == ["pending", "refused", "unknown", "queued"]
    assert Message.objects.get(key=f"{jobs[3].pk}:2").due_at <= now()


# --- looking for what nobody saw ----------------------------------------------------------------------------------


def test_a_job_that_appears_after_all_is_bound_by_the_cycle(job, slurm, clock):
    slurm.after_submit = [SubmissionUnknown("Socket timed out")]
    assert attempt(job, slurm).state == "unknown"
    cycle(job, slurm)
    assert (job.state, job.slurm_job_id) == ("pending", 101)
    assert len(slurm.requests) == 1


def test_a_job_that_ended_before_it_was_found_is_bound_from_slurmdbd(job, slurm, clock):
    slurm.after_submit = [SubmissionUnknown("Socket timed out")]
    attempt(job, slurm)
    slurm.forget(101, record_state="COMPLETED", elapsed_s=3)
    cycle(job, slurm)
    assert (job.slurm_job_id, Run.objects.get(job=job).job_id_raw) == (101, 101)


def test_a_job_that_never_arrived_is_tried_again_once(job, slurm, clock, allocation):
    slurm.on_submit = [SubmissionUnknown("Socket timed out")]
    attempt(job, slurm)
    cycles(job, slurm, clock, seconds=ATTEMPT_LASTS_S + 10)
    assert job.state == "unknown"
    assert len(orders()) == 1
    cycles(job, slurm, clock, seconds=30)
    assert job.state == "queued"
    assert [order["attempt"] for order in orders()] == [1, 2]
    assert attempt(job, slurm, 2).state == "pending"
    assert len(slurm.jobs) == 1
    assert Transfer.objects.filter(kind="hold").count() == 1


def test_a_worker_killed_before_sbatch_is_found_out_and_the_job_submitted(job, slurm, clock):
    Job.objects.filter(pk=job.pk).update(state="submitting", attempts=1, attempted_at=now(), last_attempt_at=now())
    cycles(job, slurm, clock, seconds=ATTEMPT_LASTS_S + 30)
    assert attempt(job, slurm, 2).state == "pending"
    assert len(slurm.jobs) == 1


def test_a_slurmctld_that_stops_answering_breaks_the_chain_of_denials(job, slurm, clock):
    slurm.on_submit = [SubmissionUnknown("Socket timed out")]
    attempt(job, slurm)
    cycles(job, slurm, clock, seconds=ATTEMPT_LASTS_S + 10)
    cluster_away("local")
    cycles(job, slurm, clock, seconds=10)
    assert job.state == "unknown"


def test_an_attempt_that_nobody_can_ask_about_is_shown_as_unknown(job, clock):
    Job.objects.filter(pk=job.pk).update(state="submitting", attempts=1, attempted_at=now(), last_attempt_at=now())
    clock.shift(timedelta(seconds=ATTEMPT_LASTS_S + 1))
    cluster_away("local")
    job.refresh_from_db()
    assert job.state == "unknown"


def test_a_cancelled_job_that_never_arrived_is_cancelled(job, slurm, clock, submitter, allocation):
    slurm.on_submit = [SubmissionUnknown("Socket timed out")]
    attempt(job, slurm)
    job_cancel(job_id=job.pk, person=submitter)
    cycles(job, slurm, clock, seconds=ATTEMPT_LASTS_S + 30)
    assert job.state == "cancelled"
    assert balance(allocation).held == 0


def test_a_cancelled_job_that_appears_is_cancelled_in_slurm(job, slurm, clock, submitter):
    slurm.after_submit = [SubmissionUnknown("Socket timed out")]
    attempt(job, slurm)
    job_cancel(job_id=job.pk, person=submitter)
    cycle(job, slurm)
    assert job.state == "pending"
    assert orders("jobs.cancel") == [{"job": str(job.pk)}]
    submission.cancel(job, adapter=slurm)
    assert slurm.cancelled == [("minh", 101)]


def test_a_cancellation_before_a_retry_cancels_instead(job, slurm, submitter, allocation):
    def cancelled_meanwhile(request):
        job_cancel(job_id=job.pk, person=submitter)
        raise SubmissionRefused("connect_failure", "Unable to contact slurm controller")

    slurm.submit = cancelled_meanwhile
    assert attempt(job, slurm).state == "cancelled"
    assert balance(allocation).held == 0


def test_a_copy_with_the_same_comment_does_not_become_the_job(job, slurm, clock):
    slurm.after_submit = [SubmissionUnknown("Socket timed out")]
    attempt(job, slurm)
    clock.shift(timedelta(seconds=2))
    slurm.accept(slurm.requests[0])
    cycle(job, slurm)
    assert job.slurm_job_id == 101


# --- a bound job --------------------------------------------------------------------------------------------------


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
