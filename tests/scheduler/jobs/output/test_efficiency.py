"""What a job used of what it asked for."""

from datetime import timedelta

import pytest
from django.utils import translation

from portal.clock import now
from scheduler.jobs.models import Job, Run
from scheduler.jobs.output.efficiency import efficiency_of
from tests.quotas.makers import HOUR
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db
GIB = 2**30


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def ended(submitter, allocation, *, after_s: int, state: str = "completed", **changes) -> Job:
    job = submit(submitter, allocation, **changes)
    began = now()
    Job.objects.filter(pk=job.pk).update(state=state)
    Run.objects.filter(job=job).update(
        state=state,
        started_at=began,
        ended_at=began + timedelta(seconds=after_s),
        charged_gpu_seconds=2 * after_s,
        hold_resolved=True,
    )
    job.refresh_from_db()
    return job


def figures(**changes) -> dict[str, object]:
    return {
        "elapsed_s": 1_000,
        "cpus": 8,
        "cpu_s": 4_000.0,
        "memory_bytes": 100 * GIB,
        "memory_used_bytes": 10 * GIB,
    } | changes


def test_shares_are_of_what_was_given(submitter, allocation):
    used = efficiency_of(ended(submitter, allocation, after_s=1_000), [figures()])
    assert (used.cpu_share, used.memory_share) == (0.5, 0.1)
    assert (used.elapsed_s, used.time_limit_s, used.charged_gpu_seconds) == (1_000, HOUR, 2_000)


def test_several_runs_count_together_and_the_fullest_memory_counts(submitter, allocation):
    rows = [figures(), figures(cpu_s=8_000.0, memory_used_bytes=95 * GIB)]
    used = efficiency_of(ended(submitter, allocation, after_s=1_000), rows)
    assert (used.cpu_share, used.memory_share) == (0.75, 0.95)
    assert any("memory" in line for line in used.advice)


def test_what_nobody_gathered_is_not_nought(submitter, allocation):
    rows = [figures(cpu_s=None, memory_used_bytes=None)]
    used = efficiency_of(ended(submitter, allocation, after_s=1_000), rows)
    assert (used.cpu_share, used.memory_share) == (None, None)


def test_unused_time_is_no_waste_and_an_idle_hold_is(submitter, allocation):
    used = efficiency_of(ended(submitter, allocation, after_s=600, time_limit_s=8 * HOUR), [])
    assert used.idle_hold_gpu_seconds == 2 * (8 * HOUR + 60) - 1_200
    assert used.advice == (
        "Its hold kept GPU-hours from your project without need: a limit of 15 minutes is enough next time.",
    )


@pytest.mark.parametrize(("after_s", "limit_s"), [(HOUR - 60, HOUR), (2 * HOUR, 3 * HOUR), (60, 600)])
def test_a_limit_that_was_about_right_gets_no_word(submitter, allocation, after_s, limit_s):
    assert efficiency_of(ended(submitter, allocation, after_s=after_s, time_limit_s=limit_s), []).advice == ()


def test_a_failed_job_says_nothing_about_its_limit(submitter, allocation):
    job = ended(submitter, allocation, after_s=60, time_limit_s=8 * HOUR, state="failed")
    assert efficiency_of(job, []).advice == ()


def test_one_that_ran_into_its_limit_is_told(submitter, allocation):
    [line] = efficiency_of(ended(submitter, allocation, after_s=HOUR, state="timeout"), []).advice
    assert "ended by its time limit" in line


def test_busy_cpus_are_told(submitter, allocation):
    rows = [figures(cpu_s=7_800.0)]
    [line] = efficiency_of(ended(submitter, allocation, after_s=HOUR - 60), rows).advice
    assert "CPUs were busy" in line


def test_a_job_that_never_ran_used_nothing(submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="cancelled")
    used = efficiency_of(Job.objects.get(pk=job.pk), [])
    assert (used.elapsed_s, used.charged_gpu_seconds, used.cpu_share, used.advice) == (0, 0, None, ())
