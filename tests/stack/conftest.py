import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.stack.browsing import Visitor

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


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack with the main job played once on it."""
    found = Stack()
    found.command("main_job")
    return found
