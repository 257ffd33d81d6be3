"""The shell in a real browser: logging in, questions before an act, the keyboard. How pages look is in tests/pages."""

import pytest
from playwright.sync_api import expect

from portal.people.models import User
from tests.browsers import Desk, check
from tests.factories import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_person_logs_in(desk: Desk, nobody: User) -> None:
    page = desk()
    check(page, "/accounts/login/")
    page.fill("input[name=login]", nobody.email)
    page.fill("input[name=password]", "not the password")
    page.press("input[name=password]", "Enter")
    expect(page.locator(".field-error, .note-bad").first).to_be_visible()
    check(page)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/")
    expect(page.get_by_text(nobody.full_name).first).to_be_attached()


def test_a_role_is_taken_away_only_after_a_question(desk: Desk, organisation_manager: User, researcher: User) -> None:
    page = desk(organisation_manager)
    page.goto("/organisations/sao-mai/")
    row = page.get_by_role("row").filter(has_text=researcher.email)
    row.get_by_role("button").first.click()
    check(page)
    page.get_by_role("dialog").get_by_role("button", name="Giữ nguyên").click()
    assert researcher.memberships.exists()
    row.get_by_role("button").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Gỡ vai trò").click()
    page.get_by_text("Đã gỡ vai trò.").wait_for()
    assert not researcher.memberships.exists()


def test_a_keyboard_reaches_the_content_first(desk: Desk, nobody: User) -> None:
    page = desk(nobody)
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
