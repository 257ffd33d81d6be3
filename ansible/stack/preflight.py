"""What must hold before anything is changed; each failure is one line that says what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .layout import DEFAULT_PORT_BASE, DEFAULT_TEST_PORT_BASE, LAYOUT_VERSION, PORT_OFFSETS, Refusal, Stack
from .processes import living

NEEDED_BYTES_NEW = 6 * 10**9  # packages, two virtual environments, databases
NEEDED_BYTES_BUILT = 10**9
LAST_TEST_PORT_BASE = 29400
LISTEN = "0A"  # in /proc/net/tcp


def check(stack: Stack, *, port_base: int | None) -> int:
    """Raise Refusal with the first thing that is in the way; return the stack's port base.

    port_base: the person's own choice, or None for the stack's last one, else the default.
    """
    check_root()
    check_version(stack)
    check_disk(stack)
    return choose_ports(stack, port_base)


def check_root() -> None:
    if os.geteuid() == 0:
        return
    missing = [name for name in ("postgres", "slurmctld", "slurmd") if not _installed(name)]
    wanting = f" and install {', '.join(missing)} and more" if missing else ""
    raise Refusal(f"this needs root, to create unix users and start slurmd{wanting}: run it as root (sudo make …)")


def _installed(program: str) -> bool:
    return bool(shutil.which(program, path="/usr/sbin:/usr/bin:/usr/lib/postgresql/15/bin"))


def check_version(stack: Stack) -> None:
    record = stack.record()
    if not record:
        if is_left_over(stack):
            raise Refusal(f"{stack.directory} was deleted, but its data is still in {stack.state}: `make reset` first")
        return
    if record.get("layout_version") != LAYOUT_VERSION:
        raise Refusal(
            f"{stack.directory} was built by another version of this code: `make reset` (its data is lost), then again"
        )
    if record.get("directory") != str(stack.directory):
        raise Refusal(
            f"{stack.directory} was moved from {record.get('directory')}: move it back, or delete it and start anew"
        )


def is_left_over(stack: Stack) -> bool:
    """Is there data of a stack whose directory somebody deleted? It belongs to code that nobody knows any more."""
    return not stack.record() and stack.state.exists()


def check_disk(stack: Stack) -> None:
    needed = NEEDED_BYTES_BUILT if stack.record().get("stamp") else NEEDED_BYTES_NEW
    for place in ("/opt", "/var/lib", "/usr"):
        free = shutil.disk_usage(place).free
        if free < needed:
            raise Refusal(
                f"the disk is full: {place} has {free / 1e9:.1f} GB free and {needed / 1e9:.0f} GB are needed;"
                " free some and try again"
            )


def choose_ports(stack: Stack, wanted: int | None) -> int:
    """A port base whose ports are free, or already this stack's own.

    A test stack that nobody gave ports to takes the next free hundred: several clones may test on one machine.
    """
    base = wanted or stack.record().get("port_base")
    if base:
        _check_ports(stack, int(base))
        return int(base)
    if not stack.is_test:
        _check_ports(stack, DEFAULT_PORT_BASE)
        return DEFAULT_PORT_BASE
    for candidate in range(DEFAULT_TEST_PORT_BASE, LAST_TEST_PORT_BASE, 100):
        if not _taken(stack, candidate):
            return candidate
    span = f"{DEFAULT_TEST_PORT_BASE} to {LAST_TEST_PORT_BASE}"
    raise Refusal(f"no free ports from {span} for the test stack: choose some with PORT_BASE=…")


def _check_ports(stack: Stack, base: int) -> None:
    if not 1024 <= base <= 32000:
        raise Refusal(f"PORT_BASE={base} is not between 1024 and 32000, where fixed ports can lie: choose another")
    taken = _taken(stack, base)
    if taken:
        name, port = taken[0]
        raise Refusal(
            f"port {port} ({name}) is taken by another program: end that, or choose other ports with"
            f" PORT_BASE={base + 100}"
        )


def _taken(stack: Stack, base: int) -> list[tuple[str, int]]:
    """Ports of the stack that a stranger listens on."""
    listeners = _listeners()
    own_uids = set(stack.users().values())
    if living(stack):
        own_uids.add(0)  # slurmd listens as root, also when a killed supervisord left it behind
    ports = [(name, base + offset) for name, offset in PORT_OFFSETS.items()]
    return [(name, port) for name, port in ports if listeners.get(port, set()) - own_uids]


def _listeners() -> dict[int, set[int]]:
    """Listening TCP ports → uids that listen there."""
    found: dict[int, set[int]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN:
                found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(int(fields[7]))
    return found
