"""The cluster worker reaches its wrappers, as researchers, and nothing else."""

import subprocess

import pytest
from stack.layout import Stack

from tests.ansible.conftest import CHECKOUT

pytestmark = pytest.mark.slurm
OF_ROOT = "groups"
WRAPPERS = sorted(
    path.name
    for path in (CHECKOUT / "scheduler/clusters/wrappers").iterdir()
    if path.is_file() and path.name != OF_ROOT
)


def as_worker(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    user = f"{stack.name}-cluster"
    return subprocess.run(
        ["/usr/bin/setpriv", "--reuid", user, "--regid", user, "--init-groups", "sudo", "-n", *command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )


@pytest.fixture
def researcher(stack: Stack) -> str:
    return f"r{stack.id}a"


def test_the_file_is_valid_and_closed(stack: Stack) -> None:
    subprocess.run(["/usr/sbin/visudo", "-cq", "-f", stack.sudoers], check=True)
    assert stack.sudoers.stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_runs_as_the_researcher(stack: Stack, researcher: str, wrapper: str) -> None:
    # An empty request is refused by the wrapper itself: sudo let it through.
    done = as_worker(stack, "-u", researcher, str(stack.install / "libexec" / wrapper))
    assert done.stderr.startswith(f"saola-{wrapper}:"), done.stderr


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("target", ["root", "nobody", "slurm-user"])
def test_a_wrapper_runs_as_nobody_else(stack: Stack, wrapper: str, target: str) -> None:
    target = f"{stack.name}-slurm" if target == "slurm-user" else target
    done = as_worker(stack, "-u", target, str(stack.install / "libexec" / wrapper))
    assert done.returncode == 1
    assert "sudo:" in done.stderr


def test_only_the_groups_wrapper_runs_as_root_and_as_nobody_else(stack: Stack, researcher: str) -> None:
    program = str(stack.install / "libexec" / OF_ROOT)
    assert as_worker(stack, "-u", "root", program).stderr.startswith("saola-groups: request:")
    for target in (researcher, f"{stack.name}-slurm"):
        assert "sudo:" in as_worker(stack, "-u", target, program).stderr
    assert "sudo:" in as_worker(stack, "-u", "root", program, "--help").stderr


def test_arguments_are_refused(stack: Stack, researcher: str) -> None:
    done = as_worker(stack, "-u", researcher, str(stack.install / "libexec/submit"), "--help")
    assert "sudo:" in done.stderr


@pytest.mark.parametrize("program", ["/bin/sh", "/usr/bin/env", "/usr/bin/sbatch", "/usr/bin/python3"])
def test_other_programs_are_refused(stack: Stack, researcher: str, program: str) -> None:
    assert "sudo:" in as_worker(stack, "-u", researcher, program).stderr


def test_the_web_user_has_no_sudo(stack: Stack) -> None:
    user = f"{stack.name}-web"
    done = subprocess.run(
        ["/usr/bin/setpriv", "--reuid", user, "--regid", user, "--init-groups", "sudo", "-n", "-l"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
