"""When an allocation ends or is suspended: what waits is cancelled and its people told, what runs goes on."""

from datetime import timedelta

import pytest
from django.core import mail

from portal.clock import centre_date, now
from portal.outbox.services import messages_deliver
from quotas.allocations.models import Allocation
from quotas.allocations.services import allocation_suspend, ended_expire
from scheduler.jobs.models import Job
from scheduler.jobs.reasons import reason_of
from tests.quotas.makers import balance
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, cycle

pytestmark = pytest.mark.django_db


def end(allocation: Allocation) -> None:
    Allocation.objects.filter(pk=allocation.pk).update(ends_on=centre_date(now()) - timedelta(days=1))
    ended_expire(actor="test")


def test_a_waiting_job_of_an_ended_allocation_is_cancelled_and_its_owner_told_once(job, slurm, allocation, clock):
    attempt(job, slurm)
    end(allocation)
    cycle(job, slurm)
    cycle(job, slurm)
    assert set(slurm.cancelled) == {("admin", 101)}
    assert reason_of(job).text
    messages_deliver(queue="default")
    assert [one.to for one in mail.outbox] == [[job.person.email]]
    assert job.name in mail.outbox[0].subject


def test_a_running_job_keeps_what_it_holds(job, slurm, allocation, clock):
    attempt(job, slurm)
    slurm.start(101)
    cycle(job, slurm)
    held = balance(allocation).held
    end(allocation)
    cycle(job, slurm)
    assert (slurm.cancelled, balance(allocation).held, job.state) == ([], held, "running")


def test_a_job_that_starts_meanwhile_goes_on(job, slurm, allocation, clock):
    attempt(job, slurm)
    seen_pending = slurm.queue()
    end(allocation)
    slurm.start(101)
    from scheduler.jobs.worker.cycle import jobs_cycle

    jobs_cycle("local", seen_pending, slurm.controller_status(), adapter=slurm)
    assert slurm.cancelled == []


def test_a_job_that_slurm_was_not_asked_for_ends_with_its_hold(job, slurm, allocation, clock):
    assert balance(allocation).held > 0
    end(allocation)
    assert cycle(job, slurm).state == "cancelled"
    assert balance(allocation).held == 0
    messages_deliver(queue="default")
    assert len(mail.outbox) == 1


def test_a_suspension_cancels_what_waits_and_says_why(job, slurm, allocation, submitter, clock):
    attempt(job, slurm)
    allocation_suspend(allocation_id=allocation.pk, reason="kiểm toán", actor="test")
    cycle(job, slurm)
    messages_deliver(queue="default")
    assert "kiểm toán" in mail.outbox[0].body


def test_jobs_of_open_allocations_are_left_alone(job, slurm, submitter, allocation, clock):
    other = submit(submitter, allocation, name="another")
    attempt(job, slurm)
    cycle(job, slurm)
    assert slurm.cancelled == []
    assert set(Job.objects.values_list("state", flat=True)) <= {"pending", "queued"}
    assert other.state == "queued" or other.is_open
