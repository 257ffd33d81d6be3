"""Collections, in child processes that may hang, crash or be killed without anybody waiting for them.

One child reads all GPUs, one after another. The one on which it hangs is set apart: the child is killed, a new one
reads the others, and from then on a child of its own tries the hung GPU now and then. A process that even SIGKILL does
not end (it waits inside the driver) is left behind and counted; while it is there its GPU is not tried again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.exporter.node import Node

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-B", "-m", "monitoring.exporter.child")
RETRY_MOST_S = 600
BEGIN_S = 5  # for a child to begin, the driver with it
LINE_MOST = 1 << 20
GPUS_MOST = 16  # of one node, as many times a child may have to be begun anew in one collection


class Ended(Exception):
    """The child is no more."""


class Child:
    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._text = b""
        self.has_greeted = False

    def ask(self, indices: Sequence[int], fully: Collection[int] = ()) -> None:
        """Raises Ended."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((json.dumps({"gpus": list(indices), "fully": list(fully)}) + "\n").encode())
        except OSError:
            raise Ended from None

    def message(self, until: float) -> dict[str, Any] | None:
        """The next line, None when there is none until then. Raises Ended."""
        assert self.process.stdout is not None
        while b"\n" not in self._text:
            left_s = max(until - time.monotonic(), 0)
            if not select.select([self.process.stdout], [], [], left_s)[0]:
                return None
            piece = self.process.stdout.read(65536)
            if not piece or len(self._text) > LINE_MOST:
                raise Ended
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        try:
            found = json.loads(line)
        except ValueError:
            raise Ended from None
        return dict(found)

    def end(self) -> subprocess.Popen[bytes]:
        """Kill it, without waiting for its end."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        return self.process


@dataclass
class SetApart:
    """A GPU that hung, or on which a child died."""

    wait_s: float
    next_at: float
    child: Child | None = None
    until: float = 0.0
    corpse: subprocess.Popen[bytes] | None = None


class Collector:
    def __init__(self, node: Node, *, deadline_s: float, retry_s: float, command: Sequence[str] = COMMAND) -> None:
        self.node = node
        self.deadline_s, self.retry_s = deadline_s, retry_s
        self._command = command
        self._child: Child | None = None
        self._corpses: list[subprocess.Popen[bytes]] = []
        self._apart: dict[int, SetApart] = {}
        self._count = 0
        self._driver_wait_s = 0.0
        self._driver_next_at = 0.0

    def collect(self, changed: Collection[str] = ()) -> None:
        """Read every GPU that answers. Takes at most one deadline for each that stops answering meanwhile.

        `changed`: by UUID, devices that another job owns than at the last collection; their GPUs are read fully.
        """
        began = time.monotonic()
        devices = self.node.devices
        try:
            self._collect({devices[uuid].ordinal for uuid in changed if uuid in devices})
        finally:
            self._probe()
            self._corpses = [process for process in self._corpses if process.poll() is None]
            self.node.collect_seconds = time.monotonic() - began
            self.node.stuck_processes = len(self._corpses)

    def close(self) -> None:
        for child in [self._child, *(one.child for one in self._apart.values())]:
            if child:
                child.end()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(1)
        self._child = None

    # ---- the child that reads all

    def _collect(self, fully: Collection[int]) -> None:
        left: list[int] | None = None
        for _ in range(2 * GPUS_MOST):
            if not self._ready():
                return
            if left is None:
                left = [index for index in range(self._count) if index not in self._apart]
            assert self._child is not None
            try:
                self._child.ask(left, fully)
            except Ended:  # since the last collection: no GPU's doing
                self._drop_child()
                continue
            try:
                self._take_all(left)
            except Ended:
                self._drop_child()
                self._set_apart(left.pop(0), "crashed")
            if not left:
                return

    def _take_all(self, left: list[int]) -> None:
        """Take the answers, in the order asked, until nothing is left or a GPU has been set apart. Raises Ended."""
        assert self._child is not None
        until = time.monotonic() + self.deadline_s
        while left:
            message = self._child.message(until)
            if message is None:
                self._drop_child()
                self._set_apart(left.pop(0), "hung")
                return
            if "driver" in message:
                self._driver_fail(message["driver"])
                left.clear()
            elif self._take(message) == left[0]:
                left.pop(0)
                until = time.monotonic() + self.deadline_s

    def _take(self, message: dict[str, Any]) -> int | None:
        """Answers the GPU that the message is the answer for."""
        if "xid" in message:
            with self.node.lock:
                self.node.xids[message["uuid"], int(message["xid"])] += 1
        elif "reading" in message:
            self.node.take(message["reading"])
            return int(message["reading"]["index"])
        elif "failed" in message:
            self.node.fail(message["failed"], message["reason"], message["reason"])
            return int(message["failed"])
        return None

    def _ready(self) -> bool:
        """Is there a child, its driver begun? Starts one where there is none."""
        now = time.monotonic()
        if self._child is None:
            if now < self._driver_next_at:
                return False
            self._child = Child(self._command)
        if self._child.has_greeted:
            return True
        try:
            hello = self._child.message(now + BEGIN_S)
        except Ended:
            hello = {"driver": "crashed"}
        if hello is None:
            self._driver_fail("init_hung", "hung")
            return False
        if "hello" not in hello:
            self._driver_fail(str(hello.get("driver")))
            return False
        self._greet(hello)
        return True

    def _greet(self, hello: dict[str, Any]) -> None:
        assert self._child is not None
        self._child.has_greeted = True
        self._driver_wait_s = 0.0
        node = self.node
        with node.lock:
            node.driver, node.profile = hello["driver"], hello["profile"]
            if hello["hello"] != self._count:  # numbers may mean other GPUs now
                for index in [index for index in node.states if index >= hello["hello"]]:
                    node.states[index] = "lost"
                self._apart.clear()
            self._count = hello["hello"]
            for index in range(self._count):
                node.states.setdefault(index, "failed")

    def _driver_fail(self, reason: str, state: str = "driver") -> None:
        self._drop_child()
        self.node.driver_fail(reason, state)
        self._driver_wait_s = min(max(self._driver_wait_s * 2, self.retry_s / 4), RETRY_MOST_S)
        self._driver_next_at = time.monotonic() + self._driver_wait_s

    def _drop_child(self) -> None:
        if self._child:
            self._corpses.append(self._child.end())
            self._child = None

    # ---- GPUs set apart

    def _set_apart(self, index: int, state: str) -> None:
        self.node.fail(index, state, state)
        self._apart[index] = SetApart(self.retry_s, time.monotonic() + self.retry_s)

    def _probe(self) -> None:
        now = time.monotonic()
        for index, apart in list(self._apart.items()):
            if apart.child:
                self._look_at_probe(index, apart)
            elif now >= apart.next_at and (apart.corpse is None or apart.corpse.poll() is not None):
                apart.child, apart.until = Child(self._command), now + BEGIN_S / 2 + self.deadline_s
                with contextlib.suppress(Ended):
                    apart.child.ask([index])

    def _look_at_probe(self, index: int, apart: SetApart) -> None:
        assert apart.child is not None
        answered = False
        try:
            while not answered and (message := apart.child.message(0)):
                answered = message.get("failed") == index or "reading" in message
            if not answered and time.monotonic() < apart.until:
                return
        except Ended:
            pass
        apart.corpse = apart.child.end()
        self._corpses.append(apart.corpse)
        apart.child = None
        if answered:
            del self._apart[index]
            self._drop_child()  # the next one listens to this GPU's XIDs too
        else:
            self.node.failures["hung_still"] += 1
            apart.wait_s = min(apart.wait_s * 2, RETRY_MOST_S)
            apart.next_at = time.monotonic() + apart.wait_s
