"""The job form in a real browser: simple and advanced, a script that follows, lines that stay, a job run again."""

import pytest
from playwright.sync_api import Page, expect

from scheduler.jobs.models import Job
from scheduler.jobs.script import BLOCK_END
from tests.browsers import PHONE, Desk, check, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NEW = "/jobs/new/"
SCRIPT = "#id_script"


@pytest.fixture
def person(submitter, allocation):
    return submitter


def choose(page: Page, slug: str) -> None:
    page.goto(f"{NEW}?preset={slug}")


def written(page: Page, text: str) -> None:
    """Waits until the script holds a text."""
    page.wait_for_function("text => document.querySelector('#id_script').value.includes(text)", arg=text)


def test_a_first_job_is_ready_to_be_submitted(desk: Desk, person) -> None:
    page = desk(person, width=PHONE)
    check(page, NEW)
    shoot(page, "job-form-first")
    expect(page.locator("#job-preview")).to_contain_text("Vừa hạn mức")
    page.get_by_role("button", name="Gửi tác vụ").click()
    page.wait_for_url("**/jobs/*-*/")
    assert Job.objects.get().preset == "hello-gpu"


def test_simple_hides_what_advanced_shows(desk: Desk, person) -> None:
    page = desk(person, language="en")
    choose(page, "pytorch-single")
    check(page)
    shoot(page, "job-form-simple")
    expect(page.locator("#id_partition")).to_be_hidden()
    expect(page.locator("#id_restarts")).to_be_hidden()
    expect(page.locator("#id_conda")).to_be_hidden()
    expect(page.locator("#job-preview")).to_contain_text("Still to fill in: Program")
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_text("conda", exact=True).click()
    page.get_by_text("A git repository").click()
    for name in ("partition", "restarts", "conda", "conda_base", "modules", "repository"):
        expect(page.locator(f"#id_{name}")).to_be_visible()
    expect(page.locator("#id_image")).to_be_hidden()
    check(page)
    shoot(page, "job-form-advanced")
    page.set_viewport_size({"width": PHONE, "height": 844})
    check(page)
    shoot(page, "job-form-advanced-phone")


def test_the_script_follows_and_hand_edits_survive(desk: Desk, person) -> None:
    page = desk(person)
    choose(page, "pytorch-single")
    page.fill("#id_program", "train.py")
    written(page, "\nprogram=train.py\n")
    # A line above the block, one below it, typed as a person does, with the cursor staying where it was.
    page.locator(SCRIPT).evaluate(
        "(box, mark) => { const at = box.value.indexOf(mark) + mark.length + 1; box.focus(); "
        "box.setSelectionRange(at, at); }",
        BLOCK_END,
    )
    page.keyboard.type("echo của tôi\n")
    expect(page.locator("#job-preview")).to_contain_text("PyTorch")
    page.fill("#id_gpus_per_node", "4")
    written(page, "\ngpus_per_node=4\n")
    page.locator(SCRIPT).evaluate("box => { box.focus(); box.setSelectionRange(12, 12); }")
    page.keyboard.type("# trên khối\n")
    page.fill("#id_time_limit", "2h")
    written(page, "--time=02:00:00")
    script = page.input_value(SCRIPT)
    assert script.startswith("#!/bin/bash\n# trên khối\n")
    assert f"{BLOCK_END}\necho của tôi\n" in script
    shoot(page, "job-form-edited")
    page.get_by_role("button", name="Gửi tác vụ").click()
    page.wait_for_url("**/jobs/*-*/")
    job = Job.objects.get()
    assert job.script == script
    page.goto(f"{NEW}?again={job.pk}")
    assert page.input_value(SCRIPT) == script
    expect(page.locator("#id_program")).to_have_value("train.py")
    page.fill("#id_program", "again.py")
    written(page, "\nprogram=again.py\n")
    assert f"{BLOCK_END}\necho của tôi\n" in page.input_value(SCRIPT)


def test_one_click_makes_it_fit(desk: Desk, person) -> None:
    page = desk(person, language="en")
    choose(page, "hello-gpu")
    page.fill("#id_gpus_per_node", "9")
    page.get_by_role("button", name="Take 8 GPUs per node").click()
    expect(page.locator("#id_gpus_per_node")).to_have_value("8")
    expect(page.locator("#job-preview")).to_contain_text("It fits.")


def test_it_works_without_javascript(desk: Desk, person) -> None:
    page = desk(person, language="en", scripts=False)
    page.goto(NEW)
    page.get_by_role("button", name="PyTorch on one node").click()
    page.fill("#id_program", "train.py")
    page.fill("#id_gpus_per_node", "2")
    page.get_by_role("button", name="Work it out").click()
    assert "\nprogram=train.py\n" in page.input_value(SCRIPT)
    expect(page.locator("#job-preview")).to_contain_text("It fits.")
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/*-*/")
    assert Job.objects.get().gpus_per_node == 2


def test_a_form_is_kept_for_the_project(desk: Desk, person) -> None:
    page = desk(person, language="en")
    choose(page, "free-script")
    page.get_by_text("Advanced", exact=True).click()
    page.fill("#id_command", "python3 translate.py")
    page.fill("#id_save_as", "Dịch máy")
    page.get_by_role("button", name="Save the preset").click()
    page.wait_for_url("**/jobs/new/?saved=*")
    expect(page.locator("#id_command")).to_have_value("python3 translate.py")
    page.get_by_text("Begin with:").click()
    expect(page.get_by_role("link", name="Dịch máy")).to_be_visible()
    check(page)
    shoot(page, "job-form-kept")
