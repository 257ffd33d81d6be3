"""A job's course: every state with Slurm's own times where they are known, and how long it lasted."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse

from portal.clock import now
from scheduler.jobs.models import Job, Run
from scheduler.jobs.timeline import timeline_of
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def begins(clock) -> datetime:
    return now()


def see(job: Job, state: str, at: datetime, **changes: object) -> None:
    """The portal sees a state."""
    Job.objects.filter(pk=job.pk).update(state=state, updated_at=at, **changes)


def bound(job: Job, begins: datetime) -> None:
    see(job, "submitting", begins + timedelta(seconds=1))
    see(job, "pending", begins + timedelta(seconds=2), slurm_job_id=7, slurm_submit_at=begins, bound_at=begins)


def ran(job: Job, started_at: datetime, ended_at: datetime | None = None, *, nth: int = 0) -> None:
    if nth:
        Run.objects.create(job=job, cluster=job.cluster, job_id_raw=7, submit_at=started_at, created_at=started_at)
    run = job.runs.order_by("id")[nth]
    Run.objects.filter(pk=run.pk).update(started_at=started_at, ended_at=ended_at)


def course(job: Job, begins: datetime) -> list[tuple[str, int, int | None]]:
    """State, when it began, how long it lasted, in seconds."""
    steps = timeline_of(Job.objects.prefetch_related("runs").get(pk=job.pk))
    return [(step.state, round((step.at - begins).total_seconds()), step.lasted_s) for step in steps]


def test_each_state_lasts_until_the_next(submitter, allocation, begins):
    job = submit(submitter, allocation)
    bound(job, begins)
    see(job, "running", begins + timedelta(seconds=95))
    ran(job, begins + timedelta(seconds=90), begins + timedelta(seconds=390))
    see(job, "completed", begins + timedelta(seconds=400))
    assert course(job, begins) == [
        ("queued", 0, 1),
        ("submitting", 1, 1),
        ("pending", 2, 88),
        ("running", 90, 300),
        ("completed", 390, None),
    ]


def test_the_last_state_of_an_open_job_lasts_up_to_now(submitter, allocation, begins, clock):
    job = submit(submitter, allocation)
    bound(job, begins)
    clock.shift(62)
    assert course(job, begins)[-1] == ("pending", 2, 60)


def test_a_short_run_that_no_cycle_saw_is_there(submitter, allocation, begins):
    job = submit(submitter, allocation)
    bound(job, begins)
    ran(job, begins + timedelta(seconds=3), begins + timedelta(seconds=5))
    see(job, "completed", begins + timedelta(seconds=30))
    assert course(job, begins)[-3:] == [("pending", 2, 1), ("running", 3, 2), ("completed", 5, None)]


def test_one_that_was_over_before_it_was_bound(submitter, allocation, begins):
    job = submit(submitter, allocation)
    see(job, "submitting", begins + timedelta(seconds=1))
    ran(job, begins + timedelta(seconds=1), begins + timedelta(seconds=1))
    see(job, "pending", begins + timedelta(seconds=2), slurm_job_id=7, slurm_submit_at=begins, bound_at=begins)
    see(job, "completed", begins + timedelta(seconds=30))
    states = [state for state, _at, _lasted in course(job, begins)]
    assert states[-1] == "completed"
    assert states.count("running") == 1


def test_a_requeued_job_shows_both_runs(submitter, allocation, begins):
    job = submit(submitter, allocation)
    bound(job, begins)
    see(job, "running", begins + timedelta(seconds=12))
    see(job, "pending", begins + timedelta(seconds=32))
    see(job, "running", begins + timedelta(seconds=62))
    see(job, "completed", begins + timedelta(seconds=92))
    ran(job, begins + timedelta(seconds=10), begins + timedelta(seconds=30))
    ran(job, begins + timedelta(seconds=60), begins + timedelta(seconds=90), nth=1)
    assert course(job, begins)[2:] == [
        ("pending", 2, 8),
        ("running", 10, 22),
        ("pending", 32, 28),
        ("running", 60, 30),
        ("completed", 90, None),
    ]


def test_times_never_run_backwards(submitter, allocation, begins):
    """The node's clock is behind the portal's."""
    job = submit(submitter, allocation)
    bound(job, begins)
    see(job, "running", begins + timedelta(seconds=4))
    ran(job, begins - timedelta(seconds=20), begins - timedelta(seconds=1))
    see(job, "completed", begins + timedelta(seconds=9))
    times = [at for _state, at, _lasted in course(job, begins)]
    assert times == sorted(times)


def test_a_refused_job_has_its_states_only(submitter, allocation, begins):
    job = submit(submitter, allocation)
    see(job, "submitting", begins + timedelta(seconds=1))
    see(job, "refused", begins + timedelta(seconds=3))
    assert course(job, begins) == [("queued", 0, 1), ("submitting", 1, 2), ("refused", 3, None)]


def test_the_page_shows_the_centres_time(client_of, submitter, allocation):
    job = submit(submitter, allocation)
    at = datetime.fromisoformat("2098-03-01T20:30:00+00:00")
    Job.objects.filter(pk=job.pk).update(state="submitting", updated_at=at)
    page = client_of(submitter).get(reverse("jobs:live", args=[job.pk])).content.decode()
    assert "03:30:00" in page  # on the next day, in Hanoi
