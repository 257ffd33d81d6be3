"""Remove a stack and everything of it that lies elsewhere on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from . import supervisor
from .layout import CHECKOUT, Stack, checkout_home, stacks_of_checkout


def reset(stack: Stack) -> None:
    supervisor.stop(stack)
    users = stack.users()
    _remove_shared_memory(set(users.values()))
    for place in (stack.sudoers, stack.run, stack.state, stack.install):
        _remove(place)
    for name in users:
        # Their homes lie below the state directory and are gone by now.
        subprocess.run(["/usr/sbin/userdel", "--force", name], check=True, capture_output=True)
        _remove(Path("/var/mail") / name)
    for group in (*stack.groups(), *users):
        subprocess.run(["/usr/sbin/groupdel", group], check=False, capture_output=True)
    _remove(stack.directory)
    if not stacks_of_checkout():
        _remove(checkout_home())
        link = CHECKOUT / ".venv"
        if link.is_symlink():
            link.unlink()


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _remove_shared_memory(uids: set[int]) -> None:
    """A killed PostgreSQL leaves its segments to whoever starts next; here nobody does."""
    for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        fields = row.split()
        if int(fields[7]) in uids:
            subprocess.run(["/usr/bin/ipcrm", "-m", fields[1]], check=False, capture_output=True)
    with contextlib.suppress(OSError):
        for entry in os.scandir("/dev/shm"):  # noqa: S108
            if entry.stat(follow_symlinks=False).st_uid in uids:
                os.unlink(entry.path)
