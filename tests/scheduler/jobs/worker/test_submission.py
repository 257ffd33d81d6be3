"""One attempt and what follows, with the real PostgreSQL and a Slurm in memory."""

from datetime import timedelta
from threading import Event, Thread
from time import monotonic

import pytest
from django.db import connection

from portal.clock import now
from portal.locks import LockSpace, held_if_free
from portal.outbox.models import Message
from scheduler.clusters.adapters.protocol import SubmissionNotBegun, SubmissionRefused, SubmissionUnknown
from scheduler.jobs import tasks
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import job_cancel
from scheduler.jobs.worker import submission
from scheduler.jobs.worker.lookup import ACCOUNT_LATE_S, TRIED_FOR_S
from tests.quotas.makers import HOUR, balance
from tests.scheduler.jobs.fake import FakeSlurm
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, orders

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("code", ["dependency", "time_limit", "invalid_partition"])
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


@pytest.mark.parametrize("code", ["invalid_account", "invalid_qos", "qos_limit"])
def test_an_account_or_limit_that_slurm_does_not_know_yet_is_tried_again_and_then_refused(job, slurm, allocation, code):
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


def test_long_scripts_do_not_go_together(submitter, allocation, slurm):
    script = "#!/bin/bash\ntrue\n" + "# dài\n" * 20_000
    jobs = [submit(submitter, allocation, name=f"n{number}", script=script) for number in range(3)]
    submit(submitter, allocation, name="short")
    attempt(jobs[0], slurm)
    assert [request.name for request in slurm.requests] == ["n0", "n1", "short"]
    attempt(jobs[2], slurm)
    assert [request.name for request in slurm.requests] == ["n0", "n1", "short", "n2"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("held_s", "least_s"), [(0.4, 0.3), (60, 0.5)])
def test_a_researcher_s_next_submission_waits_for_the_one_before_but_not_for_ever(
    submitter, allocation, slurm, monkeypatch, held_s, least_s
):
    monkeypatch.setattr(tasks, "adapter_for", lambda _cluster: slurm)
    monkeypatch.setattr(tasks, "TOGETHER_WITHIN_S", 0.6)
    job = submit(submitter, allocation)
    message = Message.objects.get(topic="jobs.submit")
    has_begun, is_over = Event(), Event()

    def another():
        with held_if_free(LockSpace.SUBMISSION, tasks.turn_of(message)) as is_ours:
            assert is_ours
            has_begun.set()
            is_over.wait(held_s)
        connection.close()

    thread = Thread(target=another)
    thread.start()
    assert has_begun.wait(10)
    began = monotonic()
    tasks.jobs_submit(message)
    waited_s = monotonic() - began
    is_over.set()
    thread.join()
    job.refresh_from_db()
    assert (job.state, waited_s > least_s) == ("pending", True)


def test_each_of_several_has_its_own_outcome(submitter, allocation, slurm):
    jobs = [submit(submitter, allocation, name=f"n{number}") for number in range(4)]
    outcomes = iter(
        [None, SubmissionRefused("time_limit", "no"), SubmissionUnknown("timeout"), SubmissionNotBegun("late")]
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
