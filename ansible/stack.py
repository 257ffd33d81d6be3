"""One stack on this machine: what it is called, where it lies, what runs of it.

`make` calls this before there is a virtual environment, so it uses the standard library only and runs with
/usr/bin/python3. It installs and configures nothing: that is the play's. A stack is named by the directory that
`STACK` names; everything of it outside that directory carries the first eight hex digits of the SHA-256 of that
directory's absolute path.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
VERSION = 1  # of what a stack's directory holds; another number means `make reset` first


class Refusal(Exception):
    """Something a person must do first; the text is the one line they read."""


@dataclass(frozen=True)
class Stack:
    directory: Path

    @property
    def id(self) -> str:
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        return f"saola-{self.id}"

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
    def supervisor_conf(self) -> Path:
        return self.state / "supervisor/supervisord.conf"


def checkout_home() -> Path:
    """Where the checkout's virtual environments lie: two stacks of one checkout share them."""
    return Path("/opt") / f"saola-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}"


# ---- supervisord


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


def supervisor(stack: Stack) -> xmlrpc.client.ServerProxy:
    return xmlrpc.client.ServerProxy(
        "http://localhost/RPC2", transport=_UnixTransport(str(stack.run / "supervisor.sock"))
    )


def supervisor_answers(stack: Stack) -> bool:
    try:
        return bool(supervisor(stack).supervisor.getState()["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error, http.client.HTTPException):
        return False


def start_supervisor(stack: Stack) -> None:
    if supervisor_answers(stack):
        return
    stop_processes(stack)  # what a killed supervisord left behind still holds ports and locks
    subprocess.run(
        [str(checkout_home() / "tools/bin/supervisord"), "-c", str(stack.supervisor_conf)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        cwd="/",
        check=True,
    )
    deadline = time.monotonic() + 20
    while not supervisor_answers(stack):
        if time.monotonic() > deadline:
            raise Refusal(f"supervisord does not answer; see {stack.state}/log/supervisord.log")
        time.sleep(0.1)
    print("started supervisord")


def update_services(stack: Stack, names: list[str]) -> None:
    """Make supervisord run the named programs as their files now say; leave those that did not change alone."""
    rpc = supervisor(stack).supervisor
    added, changed, _removed = rpc.reloadConfig()[0]
    for name in changed:
        if name in names:
            rpc.stopProcessGroup(name)
            rpc.removeProcessGroup(name)
    for name in names:
        if name in added or name in changed:
            rpc.addProcessGroup(name)
            print("started", name)
        elif rpc.getProcessInfo(name)["statename"] in {"STOPPED", "EXITED", "FATAL"}:
            rpc.startProcess(name, False)
            print("started", name)


# ---- processes, found by whose they are: a child outlives a supervisord that was killed


def stack_uids(stack: Stack) -> set[int]:
    """Uids of the stack's own users, researchers included; their names carry its hash."""
    import grp
    import pwd

    try:
        researchers = set(grp.getgrnam(f"{stack.name}-res").gr_mem)
    except KeyError:
        researchers = set()
    return {
        entry.pw_uid
        for entry in pwd.getpwall()
        if entry.pw_name.startswith(f"{stack.name}-") or entry.pw_name in researchers
    }


def stack_processes(stack: Stack) -> dict[int, str]:
    """Every living process of the stack: pid → start time in clock ticks, which tells a reused pid apart."""
    uids = stack_uids(stack)
    mine: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                continue
            uid = entry.stat().st_uid
            real_uid = int((entry / "status").read_text().split("\nUid:")[1].split()[0])
            if {uid, real_uid} & uids or (uid == 0 and _is_root_daemon(stack, entry)):
                mine[int(entry.name)] = fields[19]
        except (OSError, IndexError):
            continue  # it ended while we looked
    return mine


def _is_root_daemon(stack: Stack, entry: Path) -> bool:
    command = (entry / "cmdline").read_bytes()
    if b"supervisord" in command:
        return str(stack.supervisor_conf).encode() in command.split(b"\0")
    if os.path.basename(os.readlink(entry / "exe")) in {"slurmd", "slurmstepd"}:
        return f"SLURM_CONF={stack.run}/slurm/slurm.conf".encode() in (entry / "environ").read_bytes().split(b"\0")
    return False


def _signal_all(stack: Stack, processes: dict[int, str], number: int) -> None:
    for pid, started in processes.items():
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if stack_processes_start(pid) == started:
                signal.pidfd_send_signal(handle, number)
        except OSError:
            pass
        finally:
            os.close(handle)


def stack_processes_start(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def stop_processes(stack: Stack) -> int:
    """End every process of the stack, politely first; return how many there were besides supervisord's own."""
    pid_file = stack.state / "supervisor/supervisord.pid"
    if supervisor_answers(stack):
        pid = int(pid_file.read_text())
        started = stack_processes_start(pid)
        supervisor(stack).supervisor.shutdown()
        # Until it is gone it would unlink the socket of a new one.
        deadline = time.monotonic() + 90
        while started and stack_processes_start(pid) == started and time.monotonic() < deadline:
            time.sleep(0.1)
    left = stack_processes(stack)
    count = len(left)
    for number, patience_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if not left:
            break
        _signal_all(stack, left, number)
        deadline = time.monotonic() + patience_s
        while left and time.monotonic() < deadline:
            time.sleep(0.2)
            left = stack_processes(stack)
    if left:
        raise Refusal(f"these processes do not end: {' '.join(map(str, left))}; look at them, then `make stop` again")
    return count


# ---- the command line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--stack", default=".stack")
    arguments = parser.parse_intermixed_args()
    stack = Stack(Path(os.path.abspath(CHECKOUT / arguments.stack)))
    if arguments.command == "start-supervisor":
        start_supervisor(stack)
    elif arguments.command == "update-services":
        update_services(stack, arguments.names)
    elif arguments.command == "stop":
        print("stopped", stop_processes(stack))


if __name__ == "__main__":
    main()
