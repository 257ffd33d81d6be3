"""Applying in a real browser: fields that save themselves, two who write at once, a return. How its pages look is in
tests/pages; the whole way of one application is in tests/stack.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from portal.people.models import Organisation, User
from quotas.applications.models import Application
from quotas.applications.selectors import answer_values
from quotas.applications.services import answer_save, answers_save
from quotas.programmes.models import Call
from tests.browsers import PHONE, WIDE, Desk, check
from tests.quotas.applications.conftest import complete_texts

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


@pytest.fixture(params=[WIDE, PHONE], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, desk: Desk, organisation_manager: User) -> Page:
    """The manager's."""
    return desk(organisation_manager, width=request.param)


def test_a_manager_applies(page: Page, organisation_manager: User, organisation: Organisation, call: Call) -> None:
    page.goto("/applications/new/")
    page.get_by_role("button", name="Bắt đầu soạn").click()
    page.wait_for_url("**/edit/project/")
    made = Application.objects.get()
    # What is typed is saved without a click, and says when.
    page.get_by_label("Tên dự án").fill("Trợ lý ảo tiếng Việt")
    expect(page.locator("#field-project_title .said")).to_contain_text("Đã lưu lúc")
    assert answer_values(made)["project_title"] == "Trợ lý ảo tiếng Việt"
    # A step saves what was typed last on its way.
    page.get_by_label("Mục đích").fill("Tinh chỉnh một mô hình mở.")
    page.get_by_role("button", name="Tiếp: Mô hình và dữ liệu").click()
    page.wait_for_url("**/edit/model/")
    assert answer_values(made)["purpose"] == "Tinh chỉnh một mô hình mở."
    # Bad input is said beside the field and not saved.
    page.get_by_label("Số tham số").fill("bảy tỷ rưỡi")
    expect(page.locator("#field-parameters .field-error")).to_be_visible()
    check(page)
    assert "parameters" not in answer_values(made)
    page.get_by_label("Số tham số").fill("7B")
    expect(page.locator("#field-parameters .said")).to_contain_text("Đã lưu lúc")
    # The tier follows the answers without loading the page.
    page.goto(f"/applications/{made.pk}/edit/risk/")
    page.locator("#field-risk_manipulates").get_by_label("Có", exact=True).check()
    expect(page.locator("#risk")).to_contain_text("Hành vi bị cấm")
    answers_save(person=organisation_manager, application=made, texts=complete_texts())
    page.goto(f"/applications/{made.pk}/edit/review/")
    page.get_by_role("button", name="Nộp hồ sơ").click()
    page.wait_for_url(f"**/applications/{made.pk}/")
    made.refresh_from_db()
    assert made.state == "submitted"


def test_two_who_write_one_field_choose_between_both_texts(
    page: Page, organisation_manager: User, draft: Application
) -> None:
    page.goto(f"/applications/{draft.pk}/edit/project/")
    answer_save(person=organisation_manager, application=draft, key="purpose", text="Bản của người kia")
    page.get_by_label("Mục đích").fill("Bản của tôi")
    conflict = page.locator("#field-purpose .conflict")
    expect(conflict).to_contain_text("Bản của người kia")
    check(page)
    assert answer_values(draft)["purpose"] == "Bản của người kia"
    conflict.get_by_role("button", name="Giữ bản của tôi").click()
    expect(page.locator("#field-purpose .said")).to_contain_text("Đã lưu lúc")
    assert answer_values(draft)["purpose"] == "Bản của tôi"
    answer_save(person=organisation_manager, application=draft, key="purpose", text="Lại của người kia")
    page.get_by_label("Mục đích").fill("Lại của tôi")
    page.locator("#field-purpose .conflict").get_by_role("link", name="Lấy bản của họ").click()
    expect(page.get_by_label("Mục đích")).to_have_value("Lại của người kia")


def test_an_operator_returns_with_a_comment_that_is_resolved(
    desk: Desk, organisation_manager: User, operator: User, submitted: Application
) -> None:
    page = desk(operator)
    page.goto(f"/applications/{submitted.pk}/return/")
    page.locator("[name=comment-purpose]").fill("Viết rõ hơn")
    page.locator("[name=reason]").fill("Chưa rõ")
    page.get_by_role("button", name="Trả hồ sơ").click()
    page.wait_for_url(f"**/applications/{submitted.pk}/")
    page = desk(organisation_manager)
    page.goto(f"/applications/{submitted.pk}/edit/project/")
    comment = page.locator("#field-purpose .comment")
    comment.get_by_role("button", name="Đánh dấu đã xử lý").click()
    expect(comment).to_contain_text("Chưa xử lý xong")
    assert submitted.comments.get().resolved_by == organisation_manager
