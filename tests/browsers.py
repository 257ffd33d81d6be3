"""Browsers for the tests: windows in which a person is logged in already, and what every page owes everybody.

`desk(person)` opens one on the test's own server, without the login form, which has a test of its own in
tests/portal/web. What a window complains of (a script's error, a style that the content security policy refused) fails
the test at its end. SHOTS=directory keeps a picture of every page that is looked at.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from pytest_django.live_server_helper import LiveServer

from portal.people.models import User

WIDE, PHONE = 1280, 390
HEIGHT = 844
# Parts that htmx has not brought yet, or is bringing.
UNDER_WAY = ".skeleton, .htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"
# A refused form (422) answers with its errors; typing on while an answer is awaited gives that answer up.
NO_COMPLAINT = re.compile(r"\b422\b|^htmx:(afterRequest|sendAbort)\b")

Desk = Callable[..., Page]


class Windows:
    """Opens windows at one address, each with cookies of its own, and hears their complaints."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(
        self, *, session: str = "", language: str = "vi", width: int = WIDE, scheme: str = "light", scripts: bool = True
    ) -> Page:
        context = self._browser.new_context(
            base_url=self._url,
            viewport={"width": width, "height": HEIGHT},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        cookies = {settings.LANGUAGE_COOKIE_NAME: language, settings.SESSION_COOKIE_NAME: session}
        context.add_cookies([{"name": key, "value": text, "url": self._url} for key, text in cookies.items() if text])
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        assert self.complaints == []

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not NO_COMPLAINT.search(said.text):
            self.complaints.append(said.text)


@pytest.fixture
def desk(request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer) -> Iterator[Desk]:
    """`desk(person)`, or `desk()` for a stranger; further words as Windows.open has them."""
    windows = Windows(browser, live_server.url)

    def sit(person: User | None = None, **how: str | int | bool) -> Page:
        client_of = request.getfixturevalue("client_of")
        session = client_of(person).cookies[settings.SESSION_COOKIE_NAME].value if person else ""
        return windows.open(session=session, **how)  # type: ignore[arg-type]

    yield sit
    windows.close()


def at_rest(page: Page) -> None:
    """Waits until all parts of the page are there."""
    expect(page.locator(UNDER_WAY)).to_have_count(0)


def faults(page: Page, *, is_read: bool = True) -> list[str]:
    """What axe finds on the page as it stands (`is_read`), and whether it is wider than its window."""
    at_rest(page)
    found = accessibility_faults(page) if is_read else []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    where = f"{page.url} at {page.viewport_size['width'] if page.viewport_size else '?'}"
    return [f"{where}: {what}" for what in (*found, *([f"{overflow} px too wide"] if overflow > 0 else []))]


def accessibility_faults(page: Page) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    findings = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html'][:150]}" for one in findings for node in one["nodes"]]


def check(page: Page, url: str = "") -> None:
    """The page, or the one at the address, is accessible and fits."""
    if url:
        page.goto(url)
    assert faults(page) == []


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)
