"""No secret of the stack can be read by anybody whom it was not made for."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack.layout import Stack

pytestmark = pytest.mark.slurm


def secrets(stack: Stack) -> set[bytes]:
    return {path.read_bytes().strip() for path in (stack.state / "secrets").iterdir()}


def readable_by_all(root: Path) -> Iterator[Path]:
    """Regular files below root that any user of this machine can open: their mode and every directory's allow it."""
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if os.lstat(os.path.join(directory, name)).st_mode & stat.S_IXOTH]
        for name in files:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            if stat.S_ISREG(mode) and mode & stat.S_IROTH:
                yield Path(directory, name)


def test_secrets_are_for_root_alone(stack: Stack) -> None:
    assert stat.S_IMODE((stack.state / "secrets").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (stack.state / "secrets").iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("role", ["manage", "web", "worker", "cluster"])
def test_an_environment_file_is_for_its_role_alone(stack: Stack, role: str) -> None:
    status = (stack.state / f"env/{role}.env").stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert pwd.getpwuid(status.st_uid).pw_name == ("root" if role == "manage" else f"{stack.name}-{role}")


def test_the_logs_are_for_root_alone(stack: Stack) -> None:
    """They tell who ran what, when."""
    assert stat.S_IMODE(stack.log.stat().st_mode) == 0o700


def test_only_the_cluster_worker_and_root_know_slurm(stack: Stack) -> None:
    assert "SLURM" in stack.environment("cluster")
    assert "SLURM" not in stack.environment("web")
    assert "SLURM" not in stack.environment("worker")


def test_no_file_that_all_can_read_holds_a_secret(stack: Stack) -> None:
    wanted = secrets(stack)
    for root in (stack.state, stack.run, stack.install, stack.directory):
        for path in readable_by_all(root):
            content = path.read_bytes()
            assert not [secret for secret in wanted if secret in content], path


def test_no_command_line_holds_a_secret(stack: Stack) -> None:
    wanted = secrets(stack)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        assert not [secret for secret in wanted if secret in command], command


def test_two_stacks_share_no_secret(stack: Stack) -> None:
    other = Stack(stack.directory.with_name(".stack"))
    if not (other.state / "secrets").is_dir():
        pytest.skip("only one stack stands here")
    assert not secrets(stack) & secrets(other)
