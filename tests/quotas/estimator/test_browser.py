"""The estimator in a real browser: live as one types, without JavaScript too, in both languages and on a phone."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from portal.people.models import User
from tests.browsers import PHONE, WIDE, Desk, check
from tests.quotas.estimator.conftest import Register

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGE = "/estimator/"
HERO = ".estimate-hero .figure-value"


@pytest.fixture(params=[("light", WIDE), ("dark", PHONE)], ids=lambda p: f"{p[0]}-{p[1]}")
def page(request: pytest.FixtureRequest, desk: Desk, tariff: Register) -> Page:
    """A stranger's."""
    scheme, width = request.param
    tariff({"h100": 55_000})
    return desk(scheme=scheme, width=width)


def test_it_is_accessible_and_fits(page: Page, desk: Desk, operator: User) -> None:
    check(page, PAGE)
    for summary in page.locator("details.source > summary").all():
        summary.click()
    page.fill("#id_tokens", "nhiều")
    page.locator("#id_tokens_said .field-error").wait_for()
    check(page)
    check(desk(operator), f"{PAGE}?model=deepseek-v3&method=inference&tokens=1e18")


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


def test_it_works_without_javascript(desk: Desk) -> None:
    page = desk(scripts=False)
    page.goto(PAGE)
    page.fill("#id_parameters", "405B")
    page.fill("#id_tokens", "15,6 nghìn tỷ")
    page.get_by_role("button", name="Ước tính").click()
    expect(page.locator(HERO)).to_have_text("30,4 triệu")
    page.fill("#id_utilisation", "hết")
    page.get_by_role("button", name="Ước tính").click()
    expect(page.locator("#id_utilisation_said .field-error")).to_contain_text("38%")
