"""python3 -m stack COMMAND: what the Makefile and the play call."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from . import build, preflight, reset, status, supervisor
from .layout import CHECKOUT, Refusal, Stack, checkout_home


@contextlib.contextmanager
def locked(stack: Stack) -> Iterator[None]:
    """One `make` at a time changes a stack; the second is told, not made to wait."""
    with open(f"/run/lock-{stack.name}", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(f"another `make` is at work on {stack.directory}: wait for it") from None
        try:
            yield
        finally:
            os.unlink(lock.name)


def run(arguments: argparse.Namespace) -> int:
    stack = Stack(Path(os.path.abspath(CHECKOUT / arguments.stack)))
    match arguments.command:
        case "up":
            preflight.check_root()
            with locked(stack):
                build.up(stack, port_base=arguments.port_base)
        case "status":
            preflight.check_root()
            return 0 if status.print_status(stack, as_json=arguments.json) else 1
        case "stop":
            preflight.check_root()
            with locked(stack):
                left = supervisor.stop(stack)
            outlived = f"; {left} processes had outlived the supervisor" if left else ""
            build.say(f"{stack.directory} is stopped{outlived}")
        case "reset":
            preflight.check_root()
            with locked(stack):
                reset.reset(stack)
            build.say(f"{stack.directory} and everything of it is removed")
        case "home":
            print(checkout_home())
        case "start-supervisor":
            supervisor.start(stack)
        case "update-services":
            supervisor.update(stack, arguments.names)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    commands = ["up", "status", "stop", "reset", "home", "start-supervisor", "update-services"]
    parser.add_argument("command", choices=commands)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--stack", default=".stack", help="the stack's directory, in the checkout")
    parser.add_argument("--port-base", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    try:
        return run(parser.parse_intermixed_args())
    except Refusal as refusal:
        if str(refusal):
            build.say(f"make: {refusal}")
        return 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(main())
