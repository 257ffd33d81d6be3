"""An operator writes a version: what is wrong is said while it is typed, and a click adds a field."""

import pytest
from playwright.sync_api import expect

from portal.people.models import User
from scheduler.jobs.library.models import PresetVersion
from tests.browsers import Desk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_version_is_written_while_the_page_says_what_is_wrong(desk: Desk, operator: User) -> None:
    page = desk(operator, language="en")
    page.goto("/presets/hello-gpu/edit/")
    said = page.locator("#preset-checked")
    expect(said).to_contain_text("Every script that it writes is sound.")
    script = page.get_by_role("textbox", name="Script", exact=True)
    sound = script.input_value()
    script.fill(sound + "if\n")
    expect(said).to_contain_text("syntax error")
    script.fill(sound + "#SBATCH --qos=other\n")
    expect(said).to_contain_text("--qos")
    script.fill(sound + "echo here\n")
    expect(said).to_contain_text("Every script that it writes is sound.")
    expect(said.locator("pre")).to_contain_text("echo here")
    page.get_by_label("What is new in this version").fill("Says where")
    page.get_by_role("button", name="Save as a new version").last.click()
    page.wait_for_url("**/presets/hello-gpu/1/")
    assert PresetVersion.objects.get().script == sound + "echo here\n"
