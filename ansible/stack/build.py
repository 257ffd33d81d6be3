"""Bring a stack up to date with this checkout, as little as that needs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from typing import Any

from . import preflight
from .layout import CHECKOUT, LAYOUT_VERSION, Refusal, Stack, checkout_home
from .reset import reset
from .status import health

# What the play installs or is made of; a change in any of it makes the play run again.
PARTS = ("ansible", "requirements", "manage.py", "portal", "quotas", "scheduler", "monitoring", "templates", "locale")
WAIT_WELL_S = 60


def up(stack: Stack, *, port_base: int | None) -> None:
    """Build or update the stack and wait until every part is well. Raises Refusal."""
    preflight.check_root()
    if stack.is_test and preflight.is_left_over(stack):
        reset(stack)  # a deleted clone's: its data is worth nothing
    port_base = preflight.check(stack, port_base=port_base)
    sets = ["base", "dev"] if stack.is_test else ["base"]
    if subprocess.run([str(CHECKOUT / "ansible/bootstrap"), str(checkout_home()), *sets], check=False).returncode:
        raise Refusal("")  # bootstrap has said it
    stamp = f"{port_base} {digest()}"
    if stack.record().get("stamp") == stamp and all(part.well for part in health(stack)):
        say(f"{stack.directory} is up to date")
        return
    stack.directory.mkdir(exist_ok=True)
    stack.remember(layout_version=LAYOUT_VERSION, directory=str(stack.directory), port_base=port_base, stamp=None)
    play(stack, port_base)
    wait_until_well(stack)
    stack.remember(stamp=stamp)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def digest() -> str:
    """SHA-256 over the names and contents of everything that the play installs or is made of."""
    total = hashlib.sha256()
    for name in installed_files(PARTS):
        total.update(name.encode() + b"\0" + hashlib.sha256((CHECKOUT / name).read_bytes()).digest())
    return total.hexdigest()


def installed_files(parts: tuple[str, ...]) -> list[str]:
    """Files below the named parts of the checkout, without what is made from others."""
    found = []
    for part in parts:
        place = CHECKOUT / part
        paths = [place] if place.is_file() else sorted(place.rglob("*"))
        found += [
            str(path.relative_to(CHECKOUT))
            for path in paths
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".pyc", ".mo"}
        ]
    return found


def play(stack: Stack, port_base: int) -> None:
    """Play ansible/one-machine.yml; its whole output goes to play.log, its task names to standard error."""
    home = checkout_home()
    facts = {
        "stack_dir": str(stack.directory),
        "stack_id": stack.id,
        "stack_is_test": stack.is_test,
        "port_base": port_base,
        "checkout_dir": str(CHECKOUT),
        "venv_dir": str(home / "venv"),
        "tools_dir": str(home / "tools"),
    }
    log = stack.directory / "play.log"
    began = time.monotonic()
    failure = ""
    log.touch(0o600)
    with log.open("w") as sink:
        process = subprocess.Popen(
            [str(home / "tools/bin/ansible-playbook"), "one-machine.yml", "--extra-vars", json.dumps(facts)],
            cwd=CHECKOUT / "ansible",
            env=_play_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            sink.write(line)
            if line.startswith("TASK [") and " : " in line and "[service :" not in line:
                say(f"  {time.monotonic() - began:4.0f} s  {line[6:].rstrip(' *' + chr(10)).rstrip(']')}")
            if line.startswith("fatal: "):
                failure = failed_because(line)
    if process.wait():
        raise Refusal(f"{failure or 'the play failed'} (the whole story is in {log})")


def _play_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "DJANGO_"))}
    return kept | {"LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(CHECKOUT / "ansible/ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


def failed_because(line: str) -> str:
    """The last line that the failed command itself said."""
    try:
        result: dict[str, Any] = json.loads(line.partition("=> ")[2])
    except ValueError:
        return line.strip()
    told = str(result.get("stderr") or result.get("stdout") or result.get("msg") or "").strip()
    return told.splitlines()[-1] if told else line.strip()


def wait_until_well(stack: Stack) -> None:
    deadline = time.monotonic() + WAIT_WELL_S
    while True:
        bad = [part for part in health(stack) if not part.well]
        if not bad:
            return
        if time.monotonic() > deadline:
            raise Refusal(
                f"{bad[0].name} is not well: {bad[0].says}; see {stack.log}/{bad[0].name}.log"
                + (f" (and {len(bad) - 1} more: make status)" if len(bad) > 1 else "")
            )
        time.sleep(1)
