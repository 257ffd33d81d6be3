"""Uploads lie where the web process and the worker share them and nobody else enters."""

import grp
import pwd
import stat
import subprocess

import pytest
from stack.layout import Stack

pytestmark = pytest.mark.slurm


def test_the_place_belongs_to_the_two_that_use_it(stack: Stack) -> None:
    media = stack.state / "media"
    status = media.stat()
    assert stack.environment("web")["MEDIA_ROOT"] == stack.environment("worker")["MEDIA_ROOT"] == str(media)
    assert stat.S_IMODE(status.st_mode) == 0o2770
    assert pwd.getpwuid(status.st_uid).pw_name == "root"
    group = grp.getgrgid(status.st_gid)
    assert group.gr_name == f"{stack.name}-files"
    assert set(group.gr_mem) == {f"{stack.name}-web", f"{stack.name}-worker"}


@pytest.mark.parametrize("role", ["web", "worker"])
def test_the_two_may_write_there(stack: Stack, role: str) -> None:
    assert _may_write(stack, f"{stack.name}-{role}")


def test_nobody_else_may_look(stack: Stack) -> None:
    others = [name for name in stack.users() if not name.endswith(("-web", "-worker"))]
    assert len(others) > 4
    assert [name for name in others if _may_write(stack, name) or _may_list(stack, name)] == []


def _may_write(stack: Stack, user: str) -> bool:
    return _as(user, "/usr/bin/test", "-w", str(stack.state / "media"))


def _may_list(stack: Stack, user: str) -> bool:
    return _as(user, "/usr/bin/ls", str(stack.state / "media"))


def _as(user: str, *command: str) -> bool:
    entry = pwd.getpwnam(user)
    groups = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
    return not subprocess.run(
        command, user=entry.pw_uid, group=entry.pw_gid, extra_groups=groups, cwd="/", capture_output=True
    ).returncode
