"""Reviewing and deciding in a real browser, at a desk and on a phone: autosave, contrast, width, no complaint."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from portal.people.models import User
from portal.people.services import centre_role_grant
from quotas.applications.models import Application
from quotas.programmes.models import Call
from quotas.reviews.models import Assignment, Score
from tests.portal.web.test_browser import check, log_in
from tests.quotas.reviews.conftest import reviewed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[1280, 390])
def page_with_complaints(
    request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer
) -> Iterator[tuple[Page, list[str]]]:
    context = browser.new_context(viewport={"width": request.param, "height": 844}, base_url=live_server.url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()


def test_a_reviewer_reviews(page_with_complaints: tuple[Page, list[str]], review: Assignment, reviewer: User) -> None:
    page, complaints = page_with_complaints
    log_in(page, reviewer)
    check(page, "/reviews/")
    check(page, f"/reviews/mine/{review.pk}/")
    page.get_by_role("button", name="Tôi không có xung đột lợi ích: mở hồ sơ").click()
    check(page, f"/reviews/mine/{review.pk}/")
    page.locator("select[name=score_merit]").select_option("4")
    page.locator("textarea[name=reason_merit]").fill("Ý tưởng tốt, dữ liệu rõ ràng.")
    expect(page.locator("#review-saved")).to_contain_text("Đã lưu lúc")
    page.reload()
    expect(page.locator("textarea[name=reason_merit]")).to_have_value("Ý tưởng tốt, dữ liệu rõ ràng.")
    assert Score.objects.get(criterion__key="merit").value == 4
    for key in ("impact", "team"):
        page.locator(f"select[name=score_{key}]").select_option("3")
        page.locator(f"textarea[name=reason_{key}]").fill("Khá.")
    page.get_by_role("button", name="Nộp phiếu thẩm định").click()
    expect(page.get_by_text("Đã nhận phiếu thẩm định của bạn")).to_be_visible()
    check(page, f"/reviews/mine/{review.pk}/")
    check(page, f"/reviews/people/{reviewer.pk}/")
    assert complaints == []


def test_operators_arrange_rank_and_decide(
    page_with_complaints: tuple[Page, list[str]], review: Assignment, call: Call, operator: User, approver: User
) -> None:
    page, complaints = page_with_complaints
    reviewed(review)
    centre_role_grant(user=approver, role="operator")
    log_in(page, operator)
    for url in ("/", "/reviews/calls/", f"/reviews/calls/{call.slug}/", f"/reviews/calls/{call.slug}/reviewers/"):
        check(page, url)
    check(page, f"/reviews/applications/{review.application_id}/")
    page.locator("input[name=awarded_gpu_hours]").fill("300")
    expect(page.locator("#budget-after")).to_contain_text("700")
    page.locator("textarea[name=reason]").first.fill("Sản phẩm ưu tiên.")
    page.get_by_role("button", name="Đề xuất", exact=True).click()
    expect(page.get_by_text("Chính bạn đã đề xuất quyết định này").first).to_be_visible()
    check(page, "/reviews/queue/")
    assert Application.objects.get().state == "proposed"
    assert complaints == []
