"""Each thing that is in the way is said in one line that tells what to do."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import preflight
from stack.layout import LAYOUT_VERSION, PORT_OFFSETS, Refusal, Stack

from tests.ansible.conftest import CHECKOUT


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Below the range from which the system itself gives out ports."""
    for port in range(29300, 31000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            yield port
            return


def built_at(directory: Path, /, **facts: object) -> Stack:
    directory.mkdir()
    record = {"layout_version": LAYOUT_VERSION, "directory": str(directory)} | facts
    (directory / "stack.json").write_text(json.dumps(record))
    return Stack(directory)


def test_a_taken_port_is_named_with_a_way_out(new_stack: Stack, taken_port: int) -> None:
    with pytest.raises(Refusal) as refusal:
        preflight.choose_ports(new_stack, taken_port - PORT_OFFSETS["redis"])
    assert f"port {taken_port} (redis) is taken" in str(refusal.value)
    assert f"PORT_BASE={taken_port - PORT_OFFSETS['redis'] + 100}" in str(refusal.value)


def test_free_ports_are_accepted(new_stack: Stack) -> None:
    assert preflight.choose_ports(new_stack, 31300) == 31300


def test_a_test_stack_steps_aside_from_taken_ports(monkeypatch: pytest.MonkeyPatch, taken_port: int) -> None:
    monkeypatch.setattr(preflight, "DEFAULT_TEST_PORT_BASE", taken_port)
    monkeypatch.setattr(preflight, "LAST_TEST_PORT_BASE", taken_port + 1000)
    assert preflight.choose_ports(Stack(CHECKOUT / ".stack-test-elsewhere"), None) >= taken_port + 100


@pytest.mark.parametrize("base", [80, 40000])
def test_ports_outside_the_range_for_fixed_ports_are_refused(new_stack: Stack, base: int) -> None:
    with pytest.raises(Refusal, match="PORT_BASE="):
        preflight.choose_ports(new_stack, base)


def test_a_stack_of_another_version_is_refused(tmp_path: Path) -> None:
    stack = built_at(tmp_path / ".stack", layout_version=LAYOUT_VERSION - 1)
    with pytest.raises(Refusal, match=r"another version.*make reset"):
        preflight.check_version(stack)


def test_a_moved_stack_is_refused(tmp_path: Path) -> None:
    stack = built_at(tmp_path / ".stack", directory="/somewhere/else/.stack")
    with pytest.raises(Refusal, match="moved from /somewhere/else"):
        preflight.check_version(stack)


def test_data_without_its_stack_is_not_built_upon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "state", tmp_path)
    with pytest.raises(Refusal, match="was deleted, but its data is still in"):
        preflight.check_version(Stack(tmp_path / ".stack"))


def test_a_full_disk_is_refused_with_figures(new_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**12, 10**12, 2 * 10**9))
    with pytest.raises(Refusal, match=r"has 2\.0 GB free and 6 GB are needed"):
        preflight.check_disk(new_stack)


def test_the_disk_of_this_machine_is_read(new_stack: Stack) -> None:
    preflight.check_disk(new_stack)


def test_without_root_one_line_says_so() -> None:
    # The modules are read before the rights are given up: a clone may lie where nobody may look.
    program = (
        f"import os, sys; sys.path.insert(0, {str(CHECKOUT / 'ansible')!r}); from stack.__main__ import main;"
        " os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.argv = ['stack', 'up']; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("make: this needs root")
    assert done.stderr.count("\n") == 1
