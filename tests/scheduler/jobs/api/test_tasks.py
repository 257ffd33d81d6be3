"""The tasks of an array, one by one, by the API."""

import pytest
from django.urls import reverse

from portal.clock import now
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.models import Job, Order, Run
from tests import factories
from tests.counting import QUERIES_MOST, queries_of
from tests.portal.api.programs import program_of
from tests.quotas.makers import award
from tests.scheduler.jobs.api.answers import errors
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def array(submitter, allocation, slurm) -> Job:
    """In Slurm; its task 1 runs as 901, its task 2 has ended."""
    job = attempt(submit(submitter, allocation, chaining=Chaining(array="0-4")), slurm)
    Job.objects.filter(pk=job.pk).update(state="running")
    Run.objects.filter(job=job, array_task=1).update(job_id_raw=901, submit_at=now(), started_at=now(), state="running")
    Run.objects.filter(job=job, array_task=2).update(ended_at=now(), state="completed")
    return job


def at(name: str, job: Job, *more: object) -> str:
    return reverse(f"jobs_v1:{name}", args=[job.pk, *more])


def test_tasks_are_listed_in_their_order_page_by_page(program, array):
    seen, url = [], at("tasks", array) + "?limit=2"
    while url:
        page = program.get(url).json()
        seen += page["results"]
        url = page["next"]
    assert [row["task"] for row in seen] == [0, 1, 2, 3, 4]
    assert [row["state"] for row in seen] == ["pending", "running", "completed", "pending", "pending"]
    assert program.get(at("task", array, 1)).json() == seen[1]
    assert seen[1]["slurm_job_id"] == 901
    [running] = program.get(at("tasks", array) + "?state=running").json()["results"]
    assert running == seen[1]
    assert queries_of(program, at("tasks", array)) <= QUERIES_MOST


def test_a_task_that_ran_again_is_shown_by_its_last_run(program, array):
    before = Run.objects.get(job=array, array_task=2)
    Run.objects.create(
        job=array, cluster=array.cluster, array_task=2, job_id_raw=902, submit_at=now(), created_at=before.created_at
    )
    tasks = program.get(at("tasks", array)).json()["results"]
    assert [(row["task"], row["slurm_job_id"]) for row in tasks if row["task"] == 2] == [(2, 902)]


def test_one_task_is_cancelled_once_and_the_others_are_not(program, array, submitter):
    for _ in range(2):
        answer = program.post(at("task_cancel", array, 1))
        assert (answer.status_code, answer.json()["is_being_cancelled"]) == (202, True)
    order = Order.objects.get()
    assert (order.verb, order.task, order.person) == ("cancel_task", 1, submitter)
    told = program.get(at("tasks", array)).json()["results"]
    assert [row["task"] for row in told if row["is_being_cancelled"]] == [1]
    assert [error["code"] for error in errors(program.post(at("task_cancel", array, 2)), 409)] == ["impossible"]
    assert Order.objects.count() == 1


def test_the_log_is_that_of_the_task(program, array, slurm, work):
    slurm.files["slurm-901.out",] = b"task 1\n"
    assert program.get(at("task_log", array, 1)).status_code == 202
    work()
    log = program.get(at("task_log", array, 1))
    assert (log.status_code, log.json()["run"], log.json()["text"]) == (200, 901, "task 1\n")
    waiting = program.get(at("task_log", array, 0))
    assert (waiting.status_code, waiting.json()["state"], waiting.json()["run"]) == (200, "nothing", 0)


def test_what_is_no_task_is_not_there(program, array, job, submitter, outsider, organisation, allocation):
    names = {"task": "get", "task_log": "get", "task_cancel": "post"}
    for name, send in names.items():
        for address in (at(name, array, 5), at(name, array, 10**12), at(name, job, 0)):
            assert getattr(program, send)(address).status_code == 404
        assert getattr(program_of(outsider), send)(at(name, array, 1)).status_code == 404
    assert program.get(at("tasks", job)).status_code == 404
    second = factories.project("Dự án hai", "du-an-hai", of=organisation)
    factories.project_member(submitter, second)
    award(second, allocation.voucher.programme)
    bound = program_of(submitter, project=second)
    assert bound.get(at("tasks", array)).status_code == 404
    for name, send in names.items():
        assert getattr(bound, send)(at(name, array, 1)).status_code == 404
    assert not Order.objects.exists()
