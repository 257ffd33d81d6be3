"""The launcher of supervisord, in the environment that it runs in."""

import subprocess
from pathlib import Path

from django.conf import settings

LAUNCHER = Path(settings.BASE_DIR, "ansible/roles/service/files/supervisord")
BROKEN_PIPE = """
import os, runpy, sys
if sys.argv[1] != "plain":
    runpy.run_path(sys.argv[1])
from supervisor.poller import PollPoller
poller = PollPoller(None)
read, write = os.pipe()
poller.register_readable(write)  # its number was a connection's before
os.close(read)
poller.poll(0)
print(write in poller.readables)
"""


def still_polled(launcher: str) -> str:
    tools = Path(settings.BASE_DIR, ".venv").resolve().parent / "tools/bin/python3"
    done = subprocess.run([tools, "-c", BROKEN_PIPE, launcher], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_pipe_that_broke_is_not_polled_for_ever() -> None:
    assert still_polled(str(LAUNCHER)) == "False"


def test_supervisord_itself_would_poll_it() -> None:
    """When this fails, supervisord has been mended and the launcher can go."""
    assert still_polled("plain") == "True"
