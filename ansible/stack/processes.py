"""A stack's processes, found by whose they are: a child outlives a supervisord that was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from .layout import Refusal, Stack


def start_time(pid: int) -> str | None:
    """Clock ticks since boot when the process began: tells a reused pid from the one that was meant."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def living(stack: Stack) -> dict[int, str]:
    """Every process of the stack by pid, with its start time: those of its users, and its root daemons."""
    uids = set(stack.users().values())
    mine: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError, IndexError):  # it ended while we looked
            started = start_time(int(entry.name))
            uid = int((entry / "status").read_text().split("\nUid:")[1].split()[0])
            if started and (uid in uids or (uid == 0 and _is_root_daemon(stack, entry))):
                mine[int(entry.name)] = started
    return mine


def _is_root_daemon(stack: Stack, entry: Path) -> bool:
    command = (entry / "cmdline").read_bytes().split(b"\0")
    if str(stack.supervisor_conf).encode() in command:
        return any(part.endswith(b"/supervisord") for part in command[:2])
    program = os.path.basename(os.readlink(entry / "exe")).removesuffix("-wlm")  # as Debian names them
    if program == "slurmd":
        return f"SLURM_CONF={stack.slurm_conf}".encode() in (entry / "environ").read_bytes().split(b"\0")
    # slurmstepd overwrites its environment with its title; its socket lies in the node's spool directory.
    return program == "slurmstepd" and bool(_sockets(entry) & _spool_sockets(stack))


def _sockets(entry: Path) -> set[str]:
    targets = [os.readlink(link) for link in (entry / "fd").iterdir()]
    return {target[len("socket:[") : -1] for target in targets if target.startswith("socket:[")}


def _spool_sockets(stack: Stack) -> set[str]:
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()]
    return {row[6] for row in rows if len(row) > 7 and row[7].startswith(f"{stack.state}/slurm/")}


def end_processes(stack: Stack) -> int:
    """TERM, then KILL whatever of the stack still lives; return how many there were.

    Raises Refusal when some do not end within 15 seconds.
    """
    left = living(stack)
    count = len(left)
    for number, patience_s in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
        if not left:
            break
        for pid, started in left.items():
            _send(pid, started, number)
        deadline = time.monotonic() + patience_s
        while left and time.monotonic() < deadline:
            time.sleep(0.2)
            left = living(stack)
    if left:
        raise Refusal(f"these processes do not end: {' '.join(map(str, left))}; look at them, then `make stop` again")
    return count


def _send(pid: int, started: str, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if start_time(pid) == started:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
