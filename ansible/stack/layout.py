"""Names and places of a stack.

A stack is named by its directory. Everything of it outside that directory (unix users, /var/lib, /run, /opt, sudoers)
carries the first eight hex digits of the SHA-256 of that directory's absolute path.
"""

from __future__ import annotations

import grp
import hashlib
import json
import pwd
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# What a stack's directories and its database hold. Raise it when the play cannot bring an old one up to date.
LAYOUT_VERSION = 2
DEFAULT_PORT_BASE = 18400
DEFAULT_TEST_PORT_BASE = 19400
PORT_OFFSETS = {
    "web": 0,
    "postgresql": 1,
    "redis": 2,
    "mariadb": 3,
    "slurmdbd": 4,
    "slurmctld": 5,
    "prometheus": 6,
    "slurmd gpu001": 11,
    "slurmd gpu002": 12,
    "slurmd gpu003": 13,
    "slurmd gpu004": 14,
    "slurmd mig001": 15,
    "slurmd cpu001": 16,
    "exporter gpu001": 21,
    "exporter gpu002": 22,
    "exporter gpu003": 23,
    "exporter gpu004": 24,
    "exporter mig001": 25,
}
SLURM_NODES = tuple(name.removeprefix("slurmd ") for name in PORT_OFFSETS if name.startswith("slurmd "))
GPU_NODES = tuple(name.removeprefix("exporter ") for name in PORT_OFFSETS if name.startswith("exporter "))


class Refusal(Exception):
    """What a person must do first. The text is the one line that they read."""


def short_hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Stack:
    directory: Path  # absolute, not resolved: the name is what was typed

    @cached_property
    def id(self) -> str:
        return short_hash(self.directory)

    @property
    def name(self) -> str:
        return f"saola-{self.id}"

    @property
    def is_test(self) -> bool:
        return self.directory.name.startswith(".stack-test")

    @property
    def state(self) -> Path:
        return Path("/var/lib") / self.name

    @property
    def run(self) -> Path:
        return Path("/run") / self.name

    @property
    def install(self) -> Path:
        return Path("/opt") / self.name

    @property
    def sudoers(self) -> Path:
        return Path("/etc/sudoers.d") / self.name

    @property
    def supervisor_conf(self) -> Path:
        return self.state / "supervisor/supervisord.conf"

    @property
    def slurm_conf(self) -> Path:
        return self.run / "slurm/slurm.conf"

    @property
    def log(self) -> Path:
        return self.state / "log"

    def users(self) -> dict[str, int]:
        """The stack's own unix users by name, researchers included."""
        try:
            researchers = set(grp.getgrnam(f"{self.name}-res").gr_mem)
        except KeyError:
            researchers = set()
        return {
            entry.pw_name: entry.pw_uid
            for entry in pwd.getpwall()
            if entry.pw_name.startswith(f"{self.name}-") or entry.pw_name in researchers
        }

    def groups(self) -> list[str]:
        """The stack's own unix groups that are there, those of data sets included; not the users' own."""
        shared = {f"{self.name}-res", f"{self.name}-acct", f"{self.name}-files"}
        names = [entry.gr_name for entry in grp.getgrall()]
        return sorted(name for name in names if name in shared or name.startswith(f"{self.name}-d-"))

    # ---- what it remembers of itself, in the stack's directory

    def record(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.directory / "stack.json").read_text()))
        except (OSError, ValueError):
            return {}

    def remember(self, **facts: object) -> None:
        path = self.directory / "stack.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.record() | facts, indent=1) + "\n")
        new.replace(path)

    def environment(self, role: str = "manage") -> dict[str, str]:
        """The KEY=VALUE lines of a role's environment file; empty while there is none."""
        try:
            lines = (self.state / "env" / f"{role}.env").read_text().splitlines()
        except OSError:
            return {}
        return dict(line.split("=", 1) for line in lines if "=" in line)


def checkout_home() -> Path:
    """Where the checkout's virtual environments lie; the stacks of one checkout share them."""
    return Path("/opt") / f"saola-{short_hash(CHECKOUT)}"


def stacks_of_checkout() -> list[Stack]:
    return [Stack(path.parent) for path in sorted(CHECKOUT.glob(".stack*/stack.json"))]
