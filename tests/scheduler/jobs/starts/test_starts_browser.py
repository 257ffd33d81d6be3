"""The start beside the form, in a browser: it comes by itself, leaves what is typed alone, and one click takes another
shape."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from portal.clock import now
from scheduler.jobs.starts import asking, tasks
from tests.browsers import PHONE, Desk, check, shoot
from tests.quotas.makers import HOUR

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_start_comes_and_another_shape_is_taken(desk: Desk, submitter, allocation, slurm, monkeypatch) -> None:
    def answered(*, args, **_how) -> None:
        asking.answer(args[0], [asking.Question(**one) for one in args[1]], adapter=slurm)

    monkeypatch.setattr(tasks.starts_answer, "apply_async", answered)
    slurm.starts_else = now() + timedelta(hours=3)
    slurm.starts[("h100", 1, 2, 4 * HOUR)] = now()
    page = desk(submitter, language="en")
    page.goto("/jobs/new/?preset=pytorch-single")
    starts = page.locator("#job-starts")
    expect(starts.locator(".chosen")).to_contain_text("in 3 h")  # asked for by itself, looked for a second later
    page.fill("#id_program", "train.py")
    page.fill("#id_time_limit", "4h")
    page.fill("#id_gpus_per_node", "4")
    expect(starts.locator(".chosen")).to_contain_text("1 × 4 H100 · 4 h")
    script = page.locator("#id_script")
    script.evaluate("box => { box.focus(); box.setSelectionRange(12, 12); }")
    with page.expect_response("**/jobs/new/starts/"):
        page.keyboard.type("# mine\n")
    expect(starts.locator("[data-state=asked]")).to_have_count(0)
    assert script.input_value().startswith("#!/bin/bash\n# mine\n")
    assert script.bounding_box()["height"] > 400
    check(page)
    shoot(page, "job-form-starts")
    page.set_viewport_size({"width": PHONE, "height": 844})
    check(page)
    shoot(page, "job-form-starts-phone")
    starts.get_by_role("button", name="Take this 1 × 2 H100").click()
    expect(page.locator("#id_gpus_per_node")).to_have_value("2")
    expect(starts.locator(".chosen")).to_contain_text("at once")
    assert page.input_value("#id_script").startswith("#!/bin/bash\n# mine\n")
