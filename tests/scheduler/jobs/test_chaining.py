"""Arrays, dependencies and chains as they are asked for: what is refused, held and handed to Slurm."""

from dataclasses import replace
from uuid import uuid4

import pytest

from portal.outbox.errors import Later
from portal.outbox.models import Message
from scheduler.jobs.chaining import After, Chaining
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.form.chaining_form import ChainingForm
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import job_cancel
from scheduler.jobs.worker import submission
from tests import factories
from tests.quotas import makers
from tests.quotas.makers import HOUR, balance
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, cycle

pytestmark = pytest.mark.django_db


def refused(*args, **changes) -> set[tuple[str, str]]:
    with pytest.raises(JobRefused) as refusal:
        submit(*args, **changes)
    assert all(str(problem) for problem in refusal.value.problems)
    return {(problem.code, problem.field) for problem in refusal.value.problems}


def after(*jobs: Job, kind: str = "afterok", keeps: bool = False) -> Chaining:
    return Chaining(after=tuple(After(job=job.pk, kind=kind) for job in jobs), keeps_unsatisfied=keeps)


# --- arrays -------------------------------------------------------------------------------------------------------


def test_an_array_has_a_run_and_a_hold_for_each_task(submitter, allocation, cluster, slurm):
    job = submit(submitter, allocation, chaining=Chaining(array="0-9%4"))
    each = 2 * (HOUR + cluster.overshoot_s)
    assert list(Run.objects.order_by("array_task").values_list("array_task", "held_gpu_seconds")) == [
        (task, each) for task in range(10)
    ]
    assert balance(allocation).held == 10 * each
    attempt(job, slurm)
    assert slurm.requests[0].array == "0-9%4"


def test_an_array_is_held_for_whole_or_not_at_all(submitter, allocation):
    with pytest.raises(JobRefused) as refusal:
        submit(submitter, allocation, chaining=Chaining(array="0-59"))
    (problem,) = refusal.value.problems
    assert (problem.code, problem.field) == ("balance", "array")
    figures = dict(problem.figures)
    assert (figures["tasks"], figures["fit"]) == (60, 49)  # of 2 GPUs for an hour and a minute, in 100 GPU-hours
    assert problem.fixes[0].field == "time_limit"
    assert Run.objects.count() == balance(allocation).held == 0
    submit(submitter, allocation, chaining=Chaining(array="1-49"))


def test_the_fix_that_is_offered_fits(submitter, allocation):
    with pytest.raises(JobRefused) as refusal:
        submit(submitter, allocation, chaining=Chaining(array="0-59"))
    (fix,) = refusal.value.problems[0].fixes
    from scheduler.jobs.durations import time_limit_parse

    submit(submitter, allocation, chaining=Chaining(array="0-59"), time_limit_s=time_limit_parse(fix.value))


def test_an_array_that_was_never_submitted_gives_everything_back(submitter, allocation):
    job = submit(submitter, allocation, chaining=Chaining(array="0-9"))
    job_cancel(job_id=job.pk, person=submitter)
    assert balance(allocation).held == 0
    assert not Run.objects.filter(ended_at=None).exists()


def test_an_array_is_bound_to_its_own_number_and_its_tasks_to_none(submitter, allocation, slurm):
    job = submit(submitter, allocation, chaining=Chaining(array="0-3"))
    attempt(job, slurm)
    number = job.slurm_job_id
    assert job.state == "pending"
    assert not Run.objects.exclude(job_id_raw=None).exists()
    line = replace(slurm.jobs[number], array_job_id=number, array_tasks="1-3", array_task_count=3)
    slurm.jobs = {
        number: line,
        number + 1: replace(line, job_id=number + 1, array_tasks="0", array_task_count=1, state="RUNNING"),
    }
    assert cycle(job, slurm).state == "running"
    assert slurm.cancelled == []  # an array that was submitted as one is no drift


def test_a_job_that_became_an_array_is_cancelled(submitter, allocation, slurm):
    job = submit(submitter, allocation)
    attempt(job, slurm)
    slurm.change(job.slurm_job_id, array_job_id=job.slurm_job_id, array_tasks="0-3", array_task_count=4)
    cycle(job, slurm)
    assert slurm.cancelled == [("admin", job.slurm_job_id)]


# --- dependencies -------------------------------------------------------------------------------------------------


def test_a_job_waits_by_slurms_numbers(submitter, allocation, slurm):
    first = submit(submitter, allocation)
    second = submit(submitter, allocation, chaining=after(first))
    with pytest.raises(Later):
        attempt(second, slurm)
    second.refresh_from_db()
    assert (second.state, second.reason, second.attempts) == ("queued", "portal:waits_for_job", 0)
    attempt(first, slurm)
    attempt(second, slurm)
    assert slurm.requests[1].dependency == f"afterok:{first.slurm_job_id}"


def test_one_that_waits_is_not_taken_along_with_others(submitter, allocation, slurm):
    first = submit(submitter, allocation)
    second = submit(submitter, allocation, chaining=after(first))
    attempt(first, slurm)
    second.refresh_from_db()
    assert second.state == "queued"


@pytest.mark.parametrize(
    ("kind", "state", "comes"),
    [
        ("afterok", "completed", "nothing to wait for"),
        ("afterok", "failed", "never"),
        ("afterok", "cancelled", "never"),
        ("afternotok", "completed", "never"),
        ("afternotok", "timeout", "nothing to wait for"),
        ("afterany", "refused", "nothing to wait for"),
    ],
)
def test_what_ended_before_is_decided_here_and_not_by_numbers_that_slurm_forgot(
    submitter, allocation, slurm, kind, state, comes
):
    first = submit(submitter, allocation)
    Job.objects.filter(pk=first.pk).update(state=state)
    second = submit(submitter, allocation, chaining=after(first, kind=kind))
    held = balance(allocation).held
    attempt(second, slurm)
    if comes == "never":
        assert (second.state, second.reason) == ("cancelled", "portal:never")
        assert balance(allocation).held < held
        assert Message.objects.filter(topic="mail.send").count() == 1
    else:
        assert slurm.requests[0].dependency == ""


def test_one_that_never_starts_is_kept_where_that_was_chosen(submitter, allocation, slurm):
    first = submit(submitter, allocation)
    Job.objects.filter(pk=first.pk).update(state="failed")
    second = submit(submitter, allocation, chaining=after(first, keeps=True))
    attempt(second, slurm)
    assert (second.state, second.reason) == ("queued", "portal:never")
    assert balance(allocation).held > 0
    job_cancel(job_id=second.pk, person=submitter)


@pytest.mark.parametrize(("keeps", "cancelled"), [(False, True), (True, False)])
def test_one_that_slurm_will_never_start_is_cancelled_or_kept(submitter, allocation, slurm, keeps, cancelled):
    first = submit(submitter, allocation)
    attempt(first, slurm)
    second = submit(submitter, allocation, chaining=after(first, keeps=keeps))
    attempt(second, slurm)
    slurm.change(second.slurm_job_id, reason="DependencyNeverSatisfied")
    cycle(second, slurm)
    assert (("admin", second.slurm_job_id) in slurm.cancelled) is cancelled
    assert second.reason == ("portal:never" if cancelled else "DependencyNeverSatisfied")
    cycle(second, slurm)
    assert slurm.cancelled.count(("admin", second.slurm_job_id)) == cancelled


def test_a_parent_that_slurm_does_not_show_is_waited_for(submitter, allocation, slurm):
    """Slurm takes a number that it does not know for a job that is done."""
    first = submit(submitter, allocation)
    attempt(first, slurm)
    slurm.jobs.clear()
    second = submit(submitter, allocation, chaining=after(first))
    with pytest.raises(Later):
        attempt(second, slurm)
    assert len(slurm.requests) == 1


def test_only_jobs_of_the_same_project_can_be_waited_for(submitter, allocation):
    other = factories.project("Other", "other", of=allocation.project.organisation)
    factories.project_member(submitter, other)
    elsewhere = submit(submitter, makers.award(other, makers.programme("other")))
    assert refused(submitter, allocation, chaining=after(elsewhere)) == {("dependency", "after")}
    unknown = Chaining(after=(After(job=uuid4()),))
    assert refused(submitter, allocation, chaining=unknown) == {("dependency", "after")}
    own = submit(submitter, allocation)
    assert refused(submitter, allocation, chaining=after(own, kind="singleton")) == {("dependency", "after")}


# --- chains -------------------------------------------------------------------------------------------------------


def test_a_chain_is_told_before_its_limit(submitter, allocation, slurm):
    job = submit(submitter, allocation, chaining=Chaining(restarts=3, checkpoint_lead_s=300))
    attempt(job, slurm)
    assert slurm.requests[0].checkpoint_lead_s == 300
    assert (job.restarts_most, job.checkpoint_lead_s) == (3, 300)


@pytest.mark.parametrize(
    ("chaining", "field"),
    [
        (Chaining(restarts=3), "checkpoint_lead"),
        (Chaining(restarts=101, checkpoint_lead_s=300), "restarts"),
        (Chaining(restarts=-1, checkpoint_lead_s=300), "restarts"),
        (Chaining(restarts=1, checkpoint_lead_s=30), "checkpoint_lead"),
        (Chaining(restarts=1, checkpoint_lead_s=HOUR - 60), "checkpoint_lead"),
        (Chaining(array="0-3", restarts=1, checkpoint_lead_s=300), "restarts"),
        (Chaining(array="x"), "array"),
        (Chaining(array=",".join(map(str, range(0, 400, 2)))), "array"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(submitter, allocation, chaining, field):
    assert field in {where for _code, where in refused(submitter, allocation, chaining=chaining)}


# --- the form -----------------------------------------------------------------------------------------------------


def test_an_empty_form_is_a_plain_job(submitter):
    form = ChainingForm({}, person=submitter)
    assert form.is_valid(), form.errors
    assert form.chaining() == Chaining()


def test_the_form_reads_everything(submitter, job):
    data = {
        "array": "0-9 % 2",
        "after": [str(job.pk)],
        "after_kind": "afterany",
        "unsatisfied": "keep",
        "restarts": "2",
        "checkpoint_lead": "5m",
    }
    form = ChainingForm(data, person=submitter)
    form.offer()
    assert form.is_valid(), form.errors
    assert form.chaining() == Chaining(
        array="0-9%2",
        after=(After(job=job.pk, kind="afterany"),),
        keeps_unsatisfied=True,
        restarts=2,
        checkpoint_lead_s=300,
    )
    assert str(job.pk) in form.as_p()


@pytest.mark.parametrize(
    "data",
    [
        {"array": "1;id"},
        {"after": ["x"]},
        {"after_kind": "singleton"},
        {"restarts": "-1"},
        {"restarts": "1e9"},
        {"checkpoint_lead": "soon"},
        {"after": [str(uuid4()) for _ in range(21)]},
    ],
)
def test_the_form_refuses_the_rest(submitter, data):
    form = ChainingForm(data, person=submitter)
    assert not form.is_valid()
    assert set(form.errors) == set(data)


def test_the_same_form_with_another_array_is_another_job(submitter, allocation):
    key = uuid4()
    one, same, other = (
        submit(submitter, allocation, form_key=key, chaining=Chaining(array=text)) for text in ("0-1", "0-1", "0-2")
    )
    assert one.pk == same.pk != other.pk


def test_a_dead_attempt_of_a_waiting_job_is_not_delivered_twice(submitter, allocation, slurm):
    first = submit(submitter, allocation)
    second = submit(submitter, allocation, chaining=after(first))
    attempt(first, slurm)
    attempt(second, slurm)
    submission.attempt(job_id=second.pk, number=1, adapter=slurm)
    assert len(slurm.requests) == 2
