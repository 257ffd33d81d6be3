"""Programmes, calls, their editors and the second approval in a real browser: with JavaScript and without. How the
pages look is in tests/pages.
"""

import pytest
from playwright.sync_api import Page, expect

from portal.people.models import User
from quotas.programmes.models import Call
from quotas.programmes.selectors import questions_current
from quotas.programmes.services import budget_propose
from quotas.programmes.terms import Terms
from quotas.proposals.models import Proposal
from tests.browsers import PHONE, WIDE, Desk, check
from tests.quotas import makers

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def call(db: None) -> Call:
    makers.tariff("h100", 60_000)
    return makers.call(makers.programme(vnd=5_000_000_000, terms=Terms(shares=makers.SHARES, open_vouchers_limit=3)))


@pytest.fixture
def proposal(call: Call, operator: User) -> Proposal:
    return budget_propose(programme=call.programme, vnd=1_000_000_000, reason="Đợt 2", person=operator)


@pytest.fixture(params=[("dark", WIDE), ("light", PHONE)], ids=lambda p: f"{p[0]}-{p[1]}")
def page(request: pytest.FixtureRequest, desk: Desk, operator: User) -> Page:
    """The operator's."""
    scheme, width = request.param
    return desk(operator, scheme=scheme, width=width)


def test_questions_are_edited_without_the_page_loading_again(page: Page, call: Call) -> None:
    page.goto(f"/programmes/calls/{call.slug}/questions/")
    page.evaluate("window.stays = true")
    page.locator("#up-q3").click()
    page.get_by_role("status").get_by_text("Đã chuyển lên.").wait_for(state="attached")
    assert page.locator("#editor > form input[name^=key-]").evaluate_all("all => all.map(one => one.value)") == [
        "q1",
        "q3",
        "q2",
        "q4",
    ]
    expect(page.locator("#up-q3")).to_be_focused()  # a second press goes on moving it
    page.locator("#add").click()
    expect(page.locator("#label_vi-q5")).to_be_focused()
    page.fill("#label_vi-q5", "Công bố ở đâu?")
    page.fill("#label_en-q5", "Where is it published?")
    page.select_option("#kind-q5", "choice")
    page.locator("#choice-vi-q5-c2").wait_for()
    for number, word in enumerate(("GitHub", "Hugging Face"), start=1):
        page.fill(f"#choice-vi-q5-c{number}", word)
        page.fill(f"#choice-en-q5-c{number}", word)
    page.locator("#refresh").click()
    page.locator(".editor-preview").get_by_text("Công bố ở đâu?").wait_for()
    assert page.evaluate("window.stays") is True
    check(page)
    page.get_by_role("button", name="Công bố", exact=True).click()
    page.get_by_text("Đã công bố câu hỏi, phiên bản 3.").wait_for()
    assert [one["key"] for one in questions_current(call).questions] == ["q1", "q3", "q2", "q4", "q5"]


def test_questions_are_edited_without_javascript(desk: Desk, call: Call, operator: User) -> None:
    page = desk(operator, scripts=False)
    page.goto(f"/programmes/calls/{call.slug}/questions/")
    page.fill("#label_vi-q1", "Câu hỏi đã sửa")
    page.locator("#down-q1").click()
    page.locator("#add").click()
    page.fill("#label_vi-q5", "Mới")
    page.fill("#label_en-q5", "New")
    page.get_by_role("button", name="Công bố", exact=True).click()
    page.get_by_text("Đã công bố câu hỏi, phiên bản 3.").wait_for()
    assert [one["key"] for one in questions_current(call).questions] == ["q2", "q1", "q3", "q4", "q5"]
    assert questions_current(call).questions[1]["label_vi"] == "Câu hỏi đã sửa"


def test_weights_are_added_up_while_one_types(page: Page, call: Call) -> None:
    page.goto(f"/programmes/calls/{call.slug}/criteria/")
    page.fill("#weight-merit", "17")
    page.press("#weight-merit", "Tab")
    page.fill("#max_score-merit", "9")  # typed while the answer is on its way: it stays
    page.locator("#weights").get_by_text("85 %").wait_for()
    assert page.input_value("#max_score-merit") == "9"
    page.get_by_role("button", name="Lưu").click()
    page.get_by_text("Đã lưu tiêu chí.").wait_for()
    assert [(one.weight, one.max_score) for one in call.criteria.all()] == [(17, 9), (2, 5), (1, 5)]


def test_another_person_approves_after_a_question(desk: Desk, proposal: Proposal, approver: User) -> None:
    page = desk(approver)
    page.goto("/")
    page.get_by_role("link", name="Programme natif-2026: +").click()  # on the card of the home page
    page.get_by_role("button", name="Phê duyệt").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Giữ nguyên").click()
    proposal.refresh_from_db()
    assert proposal.state == "waiting"
    page.get_by_role("button", name="Phê duyệt").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Phê duyệt").click()
    page.get_by_text("Đã phê duyệt và thực hiện.").wait_for()
    proposal.refresh_from_db()
    assert proposal.state == "carried_out"
