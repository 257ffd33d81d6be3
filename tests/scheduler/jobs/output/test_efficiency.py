"""What a job used of what it asked for."""

from datetime import timedelta

import pytest
from django.core.cache import caches
from django.urls import reverse
from django.utils import translation

from portal.clock import now
from scheduler.jobs.models import Job, Run
from scheduler.jobs.output.asking import Question
from scheduler.jobs.output.efficiency import efficiency_of
from scheduler.jobs.output.rightsize import right_sized
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


# --- a size that would have been enough ---------------------------------------------------------------------------


def proposed(job: Job, *rows: dict[str, object]) -> dict[str, str]:
    return {change.field: change.value for change in right_sized(job, efficiency_of(job, rows), rows)}


@pytest.mark.parametrize(
    ("state", "after_s", "limit_s", "proposal"),
    [
        ("completed", 3 * HOUR, 12 * HOUR, {"time_limit": "3h45m"}),
        ("completed", 60, 8 * HOUR, {"time_limit": "15m"}),
        ("completed", 60, 20 * 60, {}),  # ten minutes at least are worth a word
        ("completed", HOUR, 75 * 60, {}),
        ("completed", HOUR - 60, HOUR, {"time_limit": "1h15m"}),
        ("timeout", HOUR, HOUR, {"time_limit": "2h"}),
        ("failed", 60, 8 * HOUR, {}),
        ("cancelled", 60, 8 * HOUR, {}),
    ],
)
def test_a_time_limit_follows_from_what_it_took(submitter, allocation, state, after_s, limit_s, proposal):
    job = ended(submitter, allocation, after_s=after_s, time_limit_s=limit_s, state=state)
    assert proposed(job) == proposal


@pytest.mark.parametrize(
    ("state", "used", "proposal"),
    [
        ("completed", [1], {"nodes": "1"}),
        ("completed", [1, 2], {"nodes": "2"}),  # the run that used most counts
        ("completed", [3], {}),
        ("completed", [1, None], {}),  # of one run nobody knows
        ("completed", [], {}),
        ("failed", [1], {}),
    ],
)
def test_nodes_on_which_nothing_ran_are_left_out(submitter, allocation, state, used, proposal):
    job = ended(submitter, allocation, after_s=HOUR - 600, state=state, nodes=3)
    rows = [figures(nodes_used=number) for number in used]
    assert proposed(job, *rows) == proposal
    if proposal:
        (change,) = right_sized(job, efficiency_of(job, rows), rows)
        assert f"{2 * (3 - int(change.value))} GPUs of the others were idle" in change.why


def test_a_chain_is_meant_to_reach_its_limit(submitter, allocation):
    job = ended(submitter, allocation, after_s=60, time_limit_s=8 * HOUR)
    Job.objects.filter(pk=job.pk).update(restarts_most=3)
    job.refresh_from_db()
    assert proposed(job) == {}


def test_the_page_offers_it_and_the_form_begins_with_it_and_says_why(client_of, submitter, allocation, auditor):
    caches["redis"].clear()
    job = ended(submitter, allocation, after_s=HOUR, time_limit_s=12 * HOUR, nodes=3, name="train")
    Run.objects.filter(job=job).update(job_id_raw=7, submit_at=now())
    reply = {"at": now().timestamp(), "body": {"runs": [figures(nodes_used=1)]}, "code": "", "message": ""}
    caches["redis"].set(Question(job.pk, "usage").key, reply)
    window, again = client_of(submitter), f"{reverse('jobs:new')}?again={job.pk}&sized=1"
    window.cookies["django_language"] = "en"
    address = reverse("jobs:usage", args=[job.pk])
    assert again.replace("&", "&amp;") in window.get(address).content.decode()
    assert "sized=1" not in client_of(auditor).get(address).content.decode()
    page = window.get(again)
    form = page.context["form"]
    assert (form["time_limit"].value(), form["nodes"].value(), form["gpus_per_node"].value()) == ("1h15m", "1", 2)
    assert form["name"].value() == "train"
    text = page.content.decode()
    assert "12 hours → 1 hour 15 minutes" in text
    assert "It took 1 hour." in text
    assert "ran on 1 of its 3 nodes" in text
    plain = window.get(f"{reverse('jobs:new')}?again={job.pk}")
    assert plain.context["form"]["time_limit"].value() == "12h"
    assert "Changed from the job" not in plain.content.decode()
