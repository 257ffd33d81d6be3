"""Reviewing and deciding in a real browser: autosave, the budget as one types. How the pages look is in tests/pages."""

import pytest
from playwright.sync_api import expect

from portal.people.models import User
from portal.people.services import centre_role_grant
from quotas.applications.models import Application
from quotas.programmes.models import Call
from quotas.reviews.models import Assignment, Score
from tests.browsers import PHONE, Desk
from tests.quotas.reviews.conftest import reviewed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_reviewer_reviews(desk: Desk, review: Assignment, reviewer: User) -> None:
    page = desk(reviewer, width=PHONE)
    page.goto("/reviews/")
    page.get_by_role("link", name="Công ty Sao Mai AI").click()
    page.get_by_role("button", name="Tôi không có xung đột lợi ích: mở hồ sơ").click()
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


def test_an_operator_sees_what_an_award_leaves_and_proposes(
    desk: Desk, review: Assignment, call: Call, operator: User, approver: User
) -> None:
    reviewed(review)
    centre_role_grant(user=approver, role="operator")
    page = desk(operator)
    page.goto(f"/reviews/calls/{call.slug}/")
    page.get_by_role("link", name=review.application.project_title).click()
    page.locator("input[name=awarded_gpu_hours]").fill("300")
    expect(page.locator("#budget-after")).to_contain_text("700")
    page.locator("textarea[name=reason]").first.fill("Sản phẩm ưu tiên.")
    page.get_by_role("button", name="Đề xuất", exact=True).click()
    expect(page.get_by_text("Chính bạn đã đề xuất quyết định này").first).to_be_visible()
    assert Application.objects.get().state == "proposed"
