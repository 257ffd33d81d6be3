"""slurmctld waits for slurmdbd to listen, and starts without it in the end."""

import socket
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "ansible/roles/slurm/files/after-slurmdbd"
PATIENCE_S = 30


def waiting(port: int, wait_s: int) -> "subprocess.Popen[str]":
    command = ["/bin/bash", str(SCRIPT), "127.0.0.1", str(port), str(wait_s), "/bin/echo", "started", "as $1; it is"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_becomes_the_program_once_something_listens() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))  # taken, but nobody listens yet
        started = waiting(door.getsockname()[1], 600)
        try:
            started.wait(1.5)
            raise AssertionError("it did not wait")
        except subprocess.TimeoutExpired:
            door.listen()
        said, complaint = started.communicate(timeout=PATIENCE_S)
    assert (said, complaint, started.returncode) == ("started as $1; it is\n", "", 0)


def test_it_starts_without_anybody_in_the_end() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        started = waiting(door.getsockname()[1], 1)
        said, complaint = started.communicate(timeout=PATIENCE_S)
    assert (said, complaint, started.returncode) == ("started as $1; it is\n", "", 0)
