"""A submission that nobody saw the end of is looked for, and tried again only when it is known not to exist."""

from datetime import timedelta

import pytest

from portal.clock import now
from quotas.ledger.models import Transfer
from scheduler.clusters.adapters.protocol import SubmissionRefused, SubmissionUnknown
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import job_cancel
from scheduler.jobs.worker import submission
from scheduler.jobs.worker.cycle import cluster_away
from scheduler.jobs.worker.lookup import ATTEMPT_LASTS_S
from tests.quotas.makers import balance
from tests.scheduler.jobs.stepping import attempt, cycle, cycles, orders

pytestmark = pytest.mark.django_db


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
