"""A voucher's pages in a real browser, at desk and phone width: no serious finding, no overflow, no complaint."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from portal.clock import centre_date, now
from portal.people.models import Project, User
from quotas.allocations.models import CloseOut, CommitmentCheck, Voucher
from quotas.allocations.services import Charge, charges_book
from tests.portal.web.test_browser import check, log_in
from tests.quotas import makers
from tests.quotas.makers import HOUR

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def voucher(project: Project, organisation_manager: User, operator: User) -> Voucher:
    """In use for three weeks, with a project that runs jobs, and an older one that is closed out."""
    found = makers.voucher_with_money(project)
    today = centre_date(now())
    Voucher.objects.update(starts_on=today - timedelta(days=40), ends_on=today + timedelta(days=50))
    allocation = found.allocations.get()
    charges = [
        Charge(
            charge_id=makers.named(f"browser {day}"),
            allocation_id=allocation.pk,
            gpu_seconds=(1 + day % 3) * HOUR,
            hold_id=None,
            event_at=now() - timedelta(days=day),
            reason="job",
        )
        for day in range(20)
    ]
    charges_book(charges=charges, actor="test")
    ended = makers.award(project, makers.programme("older"), gpu_seconds=HOUR).voucher
    closed = CloseOut.objects.create(
        voucher=ended,
        state="closed",
        title="Sao Mai 7B",
        summary="Mô hình ngôn ngữ tiếng Việt mở.",
        model_link="https://example.vn/model",
        opened_at=now(),
        closed_at=now(),
    )
    for commitment in ended.commitments:
        CommitmentCheck.objects.create(
            close_out=closed,
            commitment=commitment,
            is_met=commitment != "data_licensed",
            evidence="https://example.vn/evidence",
            checked_by=operator,
            checked_at=now(),
        )
    found.refresh_from_db()
    return found


def shot(page: Page, name: str) -> None:
    """SHOTS=directory keeps a picture of each page, to be looked at."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("width", "language"), [(1280, "vi"), (1280, "en"), (390, "vi")])
def test_a_manager_sees_a_voucher_and_takes_a_part_back(
    browser: Browser, live_server: LiveServer, voucher: Voucher, organisation_manager: User, width: int, language: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, base_url=live_server.url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    log_in(page, organisation_manager)
    context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": live_server.url}])
    name: Callable[[str], str] = lambda what: f"{what}-{width}-{language}"  # noqa: E731
    address = f"/vouchers/{voucher.number}/"
    for what, url in (
        ("list", "/vouchers/"),
        ("voucher", address),
        ("change", f"{address}change/"),
        ("results", "/results/"),
        ("result", f"/results/{CloseOut.objects.get().voucher.number}/"),
    ):
        check(page, url)
        shot(page, name(what))
    check(page, f"{address}take-back/")
    page.select_option("select[name=source]", index=1)
    page.fill("input[name=gpu_hours]", "2")
    page.fill("input[name=reason]", "Dự án mới cần")
    page.click("main button[type=submit]")
    page.wait_for_load_state("networkidle")
    shot(page, name("confirm"))
    assert not voucher.allocations.get().withdrawals.exists()
    page.click("main button[type=submit]")
    page.wait_for_url(f"**{address}")
    assert voucher.allocations.get().withdrawals.get().amount_gpu_seconds == 2 * HOUR
    assert complaints == []
    context.close()


def test_an_operator_proposes_a_clawback(
    browser: Browser, live_server: LiveServer, voucher: Voucher, operator: User
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 844}, base_url=live_server.url)
    page = context.new_page()
    log_in(page, operator)
    address = f"/vouchers/{voucher.number}/"
    for what in ("", "propose-clawback/", "release-tranche/", "propose-refund/"):
        check(page, address + what)
    shot(page, "operator-refund")
    page.goto(address)
    shot(page, "operator-voucher")
    page.goto(f"{address}propose-clawback/")
    page.fill("input[name=percent]", "50")
    page.fill("input[name=reason]", "Không dùng")
    page.click("main button[type=submit]")
    page.wait_for_load_state("networkidle")
    shot(page, "operator-confirm")
    page.click("main button[type=submit]")
    page.wait_for_url(f"**{address}")
    context.close()
