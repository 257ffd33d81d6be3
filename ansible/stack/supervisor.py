"""supervisord of a stack, spoken to over its unix socket."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .layout import Refusal, Stack, checkout_home
from .processes import end_processes, start_time


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


@contextlib.contextmanager
def _rpc(stack: Stack) -> Iterator[Any]:
    transport = _UnixTransport(str(stack.run / "supervisor.sock"))
    with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as proxy:
        yield proxy.supervisor


def answers(stack: Stack) -> bool:
    try:
        with _rpc(stack) as rpc:
            return bool(rpc.getState()["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error, http.client.HTTPException):
        return False


def programs(stack: Stack) -> list[dict[str, Any]]:
    """name, statename, pid, start (epoch seconds) and more of every program; empty when supervisord is not up."""
    try:
        with _rpc(stack) as rpc:
            return list(rpc.getAllProcessInfo())
    except (OSError, xmlrpc.client.Error, http.client.HTTPException):
        return []


def start(stack: Stack) -> None:
    if answers(stack):
        return
    end_processes(stack)  # what a killed supervisord left behind still holds ports and locks
    subprocess.run(
        [
            str(checkout_home() / "tools/bin/python3"),
            str(Path(__file__).parents[1] / "roles/service/files/supervisord"),
            *("-c", str(stack.supervisor_conf)),
        ],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        cwd="/",
        check=True,
    )
    deadline = time.monotonic() + 20
    while not answers(stack):
        if time.monotonic() > deadline:
            raise Refusal(f"supervisord does not answer; see {stack.log}/supervisord.log")
        time.sleep(0.1)
    print("started supervisord")


def update(stack: Stack, names: list[str]) -> None:
    """Let supervisord run the named programs as their files now say; those that did not change go on undisturbed."""
    with _rpc(stack) as rpc:
        added, changed, _removed = rpc.reloadConfig()[0]
        # All are stopped before one is started: they may need each other's ports.
        for name in set(changed) & set(names):
            rpc.stopProcessGroup(name)
            rpc.removeProcessGroup(name)
        for name in names:
            if name in added or name in changed:
                rpc.addProcessGroup(name)
                print("started", name)
            elif rpc.getProcessInfo(name)["statename"] in {"STOPPED", "EXITED", "FATAL"}:
                rpc.startProcess(name, False)
                print("started", name)


# Who needs others ends before them. supervisord alone would end one program after another, a second or more each.
STOP_ORDER = (("web", "worker-", "beat"), ("slurmctld", "slurmd-", "prometheus", "exporter-"), ("slurmdbd",), ("",))
STOP_PATIENCE_S = 60


def _stop_programs(stack: Stack) -> None:
    for prefixes in STOP_ORDER:
        names = {program["name"] for program in programs(stack) if program["name"].startswith(prefixes)}
        with _rpc(stack) as rpc:
            for name in names:
                with contextlib.suppress(xmlrpc.client.Fault):  # it is not running
                    rpc.stopProcess(name, False)
        deadline = time.monotonic() + STOP_PATIENCE_S
        while time.monotonic() < deadline:
            states = {program["statename"] for program in programs(stack) if program["name"] in names}
            if not states & {"RUNNING", "STARTING", "STOPPING"}:
                break
            time.sleep(0.1)


def stop(stack: Stack) -> int:
    """End every process of the stack; return how many had outlived supervisord."""
    if answers(stack):
        _stop_programs(stack)
        pid = int((stack.state / "supervisor/supervisord.pid").read_text())
        started = start_time(pid)
        with _rpc(stack) as rpc:
            rpc.shutdown()
        # Until it is gone it would unlink the socket of the next one.
        deadline = time.monotonic() + 90
        while started and start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(0.1)
    return end_processes(stack)
