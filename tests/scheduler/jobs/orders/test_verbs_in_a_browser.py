"""Buttons, questions and tasks of a job's page, and the ties of the form, as a person meets them."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from scheduler.jobs.chaining import After, Chaining
from scheduler.jobs.models import Job, Order, Run
from tests.browsers import HEIGHT, PHONE, WIDE, Desk, faults, shoot
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, cycle

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def looked_at(page, name: str) -> None:
    for width in (WIDE, PHONE):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert faults(page) == []
        shoot(page, f"verbs-{name}-{width}")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_running_job_is_given_more_time_and_put_back(desk: Desk, submitter, allocation, slurm, language):
    job = submit(submitter, allocation, chaining=Chaining(restarts=3, checkpoint_lead_s=300))
    attempt(job, slurm)
    slurm.start(job.slurm_job_id)
    cycle(job, slurm)
    page = desk(submitter, language=language)
    page.goto(f"/jobs/{job.pk}/")
    page.locator("[data-dialog=requeue-job]").click()
    expect(page.locator("#requeue-job")).to_be_visible()
    looked_at(page, f"requeue-{language}")
    page.locator("#requeue-job [data-close]").click()
    page.locator("[data-dialog=extend-job]").click()
    page.fill("#extend-time", "60h")
    page.locator("#extend-job [type=submit]").click()
    expect(page.locator("[data-dialog=extend-job]")).to_be_visible()  # it does not fit: said above, nothing changed
    assert not Order.objects.exists()
    looked_at(page, f"extend-refused-{language}")
    page.locator("[data-dialog=extend-job]").click()
    page.fill("#extend-time", "2h")
    page.locator("#extend-job [type=submit]").click()
    expect(page.locator(".order-last")).to_be_visible()
    looked_at(page, f"extend-asked-{language}")
    assert Order.objects.get().time_limit_s == 7_200


def _until(page: Page, reached: Callable[[], bool]) -> None:
    for _tenth in range(150):
        if reached():
            return
        page.wait_for_timeout(100)
    raise AssertionError("nothing was asked for")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_tasks_of_an_array_are_listed_and_one_is_cancelled(desk: Desk, submitter, allocation, slurm, language):
    job = submit(submitter, allocation, chaining=Chaining(array="0-59%8"), time_limit_s=1_800)
    attempt(job, slurm)
    Run.objects.filter(job=job, array_task__lt=3).update(state="running", started_at=job.bound_at)
    page = desk(submitter, language=language)
    page.goto(f"/jobs/{job.pk}/")
    rows = page.locator("#job-tasks tbody tr")
    expect(rows).to_have_count(50)
    looked_at(page, f"tasks-{language}")
    # What a person asks for comes before a look of the page's own that is on its way, whichever is answered first.
    own: list[Route] = []
    page.route("**/tasks/?page=1**", lambda route: own.append(route))
    asked: list[Route] = []
    page.route("**/tasks/?page=2**", lambda route: asked.append(route))
    _until(page, lambda: bool(own))
    page.locator("#job-tasks a[rel=next]").click()
    _until(page, lambda: bool(asked))
    own[0].continue_()
    page.wait_for_timeout(500)
    asked[0].continue_()
    expect(rows).to_have_count(10)
    page.unroute_all()
    page.once("dialog", lambda question: question.accept())
    rows.first.locator("button").click()
    expect(rows.first.locator("button")).to_have_count(0)
    assert Order.objects.get().task == 50


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_form_ties_a_job_to_another(desk: Desk, submitter, allocation, language):
    first = submit(submitter, allocation, name="first")
    page = desk(submitter, language=language)
    page.goto("/jobs/new/?preset=hello-gpu")
    page.locator("label[for=id_mode_1], input[name=mode][value=advanced] + label").first.click()
    page.locator(".chaining summary").click()
    page.fill("[name=array]", "0-9%2")
    with page.expect_response("**/jobs/new/preview/"):  # asked for a moment after the last change
        page.select_option("[name=after]", str(first.pk))
    looked_at(page, f"form-{language}")
    page.locator("#job-form .btn-primary[type=submit]").click()
    expect(page.locator("#job-tasks tbody tr")).to_have_count(10)
    expect(page.locator(f".facts a[href='/jobs/{first.pk}/']")).to_be_visible()
    job = Job.objects.exclude(pk=first.pk).get()
    assert job.array == "0-9%2"
    assert [After(job=row.on_id, kind=row.kind) for row in job.dependencies.all()] == [After(job=first.pk)]
