import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tests.browsers import Windows
from tests.stack.browsing import Fields, Visitor

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND_S = 300


class Stack:
    """The running stack: its commands, its people, its processes."""

    directory: Path = settings.STACK_DIR

    @property
    def demo(self) -> dict[str, Any]:
        return json.loads((self.directory / "demo.json").read_text())

    def command(self, *words: str) -> str:
        """Standard output of a management command; fails with what it said."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=CHECKOUT,
            env=os.environ | {"SAOLA_ENV_FILE": str(self.directory / "env" / "manage.env")},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def answer(self, *words: str) -> dict[str, Any]:
        """The JSON object that a command prints as its last line."""
        return json.loads(self.command(*words, "--json").splitlines()[-1])

    def visitor(self, name: str, *, keep_alive: bool = False) -> Visitor:
        """A demo person, logged in: "mai", "long", …"""
        demo = self.demo
        account = next(row for row in demo["accounts"] if row["email"].startswith(f"{name}@"))
        visitor = Visitor(demo["url"], keep_alive=keep_alive)
        visitor.log_in(account["email"], account["password"])
        return visitor

    def reconciled(self, within_s: float = 120) -> dict[str, Any]:
        """The reconciliation once it is clean; the last one if that does not come in time."""
        return wait_for(lambda: self._clean(), within_s) or self.answer("reconcile", "--cluster", "local")

    def _clean(self) -> dict[str, Any] | None:
        found = self.answer("reconcile", "--cluster", "local")
        return None if found["residual_gpu_seconds"] or found["differences"] else found


def wait_for(holds: Callable[[], Any], within_s: float, every_s: float = 0.5) -> Any:
    """What `holds` answers once it is true, None when time is up."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(every_s)
    return None


def submit(visitor: Visitor, script: str, *, time_limit: str = "2m") -> str:
    """A job on one GPU through the form; answers its page's path."""
    status, page = visitor.get("/jobs/new/")
    assert status == 200
    fields = Fields(page, "/jobs/new/")
    values = {name: value.replace("\n", "\r\n") for name, value in fields.values.items()}
    values |= {"allocation": fields.options["allocation"][-1], "name": "of a test", "gpus_per_node": "1", "nodes": "1"}
    status, page = visitor.post(
        "/jobs/new/", values | {"time_limit": time_limit, "script": script.replace("\n", "\r\n")}
    )
    assert status == 302, page[:2000]
    return visitor.location


@pytest.fixture(scope="module")
def long(stack: Stack) -> Visitor:
    """One session for all: whoever was logged in stays so, whatever dies."""
    visitor = stack.visitor("long")
    visitor.cookies["django_language"] = "en"
    return visitor


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack with the main job played once on it."""
    found = Stack()
    found.command("main_job")
    return found


Desk = Callable[[str], Page]


@pytest.fixture
def desk(stack: Stack, browser: Browser) -> Iterator[Desk]:
    """A demo person's window, logged in by the form, in English."""
    windows = Windows(browser, stack.demo["url"])

    def sit(name: str) -> Page:
        account = next(row for row in stack.demo["accounts"] if row["email"].startswith(f"{name}@"))
        page = windows.open()
        page.goto("/accounts/login/")
        page.fill("input[name=login]", account["email"])
        page.fill("input[name=password]", account["password"])
        page.press("input[name=password]", "Enter")
        page.wait_for_url("**/")
        # Not before: logging in takes up the person's own language.
        page.context.add_cookies([{"name": "django_language", "value": "en", "url": stack.demo["url"]}])
        return page

    yield sit
    windows.close()
