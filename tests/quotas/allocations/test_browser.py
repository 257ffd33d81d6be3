"""A voucher's verbs in a real browser: each says what it will do before it does it. How its pages look is in
tests/pages.
"""

import pytest

from portal.people.models import Project, User
from quotas.allocations.models import Voucher
from quotas.proposals.models import Proposal
from tests.browsers import PHONE, WIDE, Desk, check
from tests.quotas import makers
from tests.quotas.makers import HOUR

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def voucher(project: Project, organisation_manager: User, operator: User) -> Voucher:
    return makers.voucher_with_money(project)


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_a_manager_takes_a_part_back_after_reading_what_happens(
    desk: Desk, voucher: Voucher, organisation_manager: User, width: int
) -> None:
    page = desk(organisation_manager, width=width)
    page.goto(f"/vouchers/{voucher.number}/take-back/")
    page.select_option("select[name=source]", index=1)
    page.fill("input[name=gpu_hours]", "2")
    page.fill("input[name=reason]", "Dự án mới cần")
    page.click("main button[type=submit]")
    page.get_by_role("heading", name="Điều sẽ diễn ra").wait_for()
    check(page)
    assert not voucher.allocations.get().withdrawals.exists()
    page.click("main button[type=submit]")
    page.wait_for_url(f"**/vouchers/{voucher.number}/")
    assert voucher.allocations.get().withdrawals.get().amount_gpu_seconds == 2 * HOUR


def test_an_operator_proposes_a_clawback(desk: Desk, voucher: Voucher, operator: User) -> None:
    page = desk(operator)
    page.goto(f"/vouchers/{voucher.number}/propose-clawback/")
    page.fill("input[name=percent]", "50")
    page.fill("input[name=reason]", "Không dùng")
    page.click("main button[type=submit]")
    page.get_by_role("heading", name="Điều sẽ diễn ra").wait_for()
    page.click("main button[type=submit]")
    page.wait_for_url(f"**/vouchers/{voucher.number}/")
    assert Proposal.objects.get(kind="clawback").state == "waiting"
