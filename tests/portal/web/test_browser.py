"""The shell in a real browser: what only a browser finds (contrast, focus, the content security policy, a phone's
width).
"""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from portal.people.models import User
from tests.factories import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = [
    "/",
    "/organisations/sao-mai/",
    "/projects/mo-hinh-tieng-viet/",
    "/people/",
    "/audit/",
    "/accounts/password/change/",
]


@pytest.fixture(params=[("light", 1280), ("dark", 1280), ("light", 390)], ids=lambda p: f"{p[0]}-{p[1]}")
def page_with_complaints(
    request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer
) -> Iterator[tuple[Page, list[str]]]:
    scheme, width = request.param
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 844}, base_url=live_server.url
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()


def log_in(page: Page, user: User) -> None:
    page.goto("/accounts/login/")
    page.fill("input[name=login]", user.email)
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/")


def check(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_load_state("networkidle")
    findings = Axe().run(page).response["violations"]
    assert [(finding["id"], [node["html"][:150] for node in finding["nodes"]]) for finding in findings] == [], url
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{url} is {overflow} px wider than the window"


def test_pages_are_accessible_and_fit(
    page_with_complaints: tuple[Page, list[str]], operator: User, pi: User, organisation_manager: User
) -> None:
    page, complaints = page_with_complaints
    for url in ("/", "/accounts/login/", "/accounts/password/reset/"):
        check(page, url)
    log_in(page, operator)
    for url in PAGES:
        check(page, url)
    assert complaints == []


def test_a_role_is_taken_away_only_after_a_question(
    browser: Browser, live_server: LiveServer, organisation_manager: User, researcher: User
) -> None:
    page = browser.new_context(base_url=live_server.url).new_page()
    log_in(page, organisation_manager)
    page.goto("/organisations/sao-mai/")
    row = page.get_by_role("row").filter(has_text=researcher.email)
    row.get_by_role("button").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Giữ nguyên").click()
    assert researcher.memberships.exists()
    row.get_by_role("button").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Gỡ vai trò").click()
    page.get_by_text("Đã gỡ vai trò.").wait_for()
    assert not researcher.memberships.exists()
    page.context.close()


def test_a_keyboard_reaches_the_content_first(browser: Browser, live_server: LiveServer, nobody: User) -> None:
    page = browser.new_context(base_url=live_server.url).new_page()
    log_in(page, nobody)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.context.close()
