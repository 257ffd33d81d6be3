"""Statements in a real browser: an operator's month, a manager's statement and its files, wide and on a phone."""

import hashlib
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from portal.people.models import Project, User
from quotas.statements.models import Statement
from quotas.statements.services import files_make, statements_verify
from tests.portal.web.test_browser import check, log_in
from tests.quotas import makers
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import OCTOBER, full_month, issue

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS")  # a directory for pictures, where somebody wants to look


@pytest.fixture
def statement(project: Project, organisation_manager: User) -> Statement:
    with at(2026, 9, 1):
        programme = makers.programme(h200_hours=100)
    full_month(project, programme)
    statement = issue(OCTOBER)["sao-mai"]
    files_make(statement_id=statement.pk)
    statements_verify()
    return statement


def look(page: Page, url: str, name: str) -> None:
    check(page, url)
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("language", "width"), [("vi", 1280), ("en", 1280), ("vi", 390), ("en", 390)])
def test_statements_are_accessible_and_fit(
    browser: Browser,
    live_server: LiveServer,
    statement: Statement,
    operator: User,
    organisation_manager: User,
    language: str,
    width: int,
) -> None:
    own = f"/statements/{statement.number}/"
    places = {
        operator: ["/statements/", "/statements/months/2026-10/", "/statements/months/2026-11/", own],
        organisation_manager: ["/statements/organisations/sao-mai/", own, "/organisations/sao-mai/"],
    }
    for user, urls in places.items():
        User.objects.filter(pk=user.pk).update(language=language)
        context = browser.new_context(viewport={"width": width, "height": 844}, base_url=live_server.url)
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda said, kept=complaints: kept.append(said.text) if said.type == "error" else None)
        log_in(page, user)
        for number, url in enumerate(urls):
            look(page, url, f"{language}-{width}-{user.email.partition('@')[0]}-{number}")
        assert complaints == []
        context.close()


def test_a_manager_loads_down_what_was_issued(
    browser: Browser, live_server: LiveServer, statement: Statement, organisation_manager: User
) -> None:
    context = browser.new_context(base_url=live_server.url, accept_downloads=True)
    page = context.new_page()
    log_in(page, organisation_manager)
    page.goto("/statements/")  # one organisation: its page
    page.get_by_role("link", name=statement.number).click()
    for stored in statement.files.all():
        name = f"{stored.format.upper()} {'Tiếng Việt' if stored.language == 'vi' else 'English'}".strip()
        link = page.get_by_role("link", name=name if stored.language else "JSON", exact=True)
        with page.expect_download() as loading:
            link.click()
        content = Path(loading.value.path()).read_bytes()
        assert hashlib.sha256(content).hexdigest() == stored.sha256
        assert loading.value.suggested_filename.startswith(statement.number)
    context.close()
