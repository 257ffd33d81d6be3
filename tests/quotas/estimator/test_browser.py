"""The estimator in a real browser: live as one types, without JavaScript too, in both languages and on a phone."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from portal.people.models import User
from tests.portal.web.test_browser import check, log_in
from tests.quotas.estimator.conftest import Register

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/estimator/"
REPLACED = ("htmx:afterRequest", "htmx:sendAbort")  # typing on while a slow answer is awaited gives that one up
HERO = ".estimate-hero .figure-value"


@pytest.fixture(params=[("light", 1280), ("dark", 1280), ("light", 390)], ids=lambda p: f"{p[0]}-{p[1]}")
def page(request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer, tariff: Register) -> Iterator[Page]:
    scheme, width = request.param
    tariff({"h100": 55_000})
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 844}, base_url=live_server.url
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [said for said in complaints if said not in REPLACED] == []


def test_it_is_accessible_and_fits(page: Page, operator: User) -> None:
    check(page, PAGE)
    for summary in page.locator("details.source > summary").all():
        summary.click()
    page.fill("#id_tokens", "nhiều")
    page.locator("#id_tokens_said .field-error").wait_for()
    findings = Axe().run(page).response["violations"]
    assert [(finding["id"], [node["html"][:150] for node in finding["nodes"]]) for finding in findings] == []
    log_in(page, operator)
    check(page, f"{PAGE}?model=deepseek-v3&method=inference&tokens=1e18")


def test_it_follows_the_typing(page: Page) -> None:
    page.goto(PAGE)
    page.fill("#id_parameters", "405 tỷ")
    page.fill("#id_tokens", "15,6 nghìn tỷ")
    expect(page.locator(HERO)).to_have_text("30,4 triệu")
    expect(page.locator("#id_tokens_said")).to_have_text("= 15.600.000.000.000")
    assert parse_qs(urlsplit(page.url).query)["tokens"] == ["15600e9"]
    page.fill("#id_tokens", "-1")
    expect(page.locator("#id_tokens_said")).to_have_text("Phải từ 1 trở lên.")
    expect(page.locator(HERO)).to_have_count(0)
    page.fill("#id_tokens", "15,6 nghìn tỷ")
    expect(page.locator("#how")).to_contain_text("54,2 năm")
    assert page.evaluate("document.activeElement.id") == "id_tokens"


def test_the_language_switch_keeps_what_was_typed(page: Page) -> None:
    page.goto(PAGE)
    page.fill("#id_tokens", "15,6 nghìn tỷ")
    expect(page.locator("#id_tokens_said")).to_have_text("= 15.600.000.000.000")
    page.wait_for_url("**tokens=15600e9**")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#id_tokens")).to_have_value("15.6T")
    expect(page.locator("h1")).to_have_text("How many GPU-hours does it take?")


def test_a_model_takes_the_place_of_the_number_of_parameters(page: Page) -> None:
    page.goto(PAGE)
    expect(page.locator("#id_parameters")).to_be_visible()
    page.select_option("#id_model", "deepseek-v3")
    expect(page.locator("#id_parameters")).to_be_hidden()
    expect(page.locator("#id_model_said")).to_contain_text("671 tỷ")


def test_it_works_without_javascript(browser: Browser, live_server: LiveServer) -> None:
    page = browser.new_context(base_url=live_server.url, java_script_enabled=False).new_page()
    page.goto(PAGE)
    page.fill("#id_parameters", "405B")
    page.fill("#id_tokens", "15,6 nghìn tỷ")
    page.get_by_role("button", name="Ước tính").click()
    expect(page.locator(HERO)).to_have_text("30,4 triệu")
    page.fill("#id_utilisation", "hết")
    page.get_by_role("button", name="Ước tính").click()
    expect(page.locator("#id_utilisation_said .field-error")).to_contain_text("38%")
    page.context.close()
