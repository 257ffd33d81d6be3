import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(CHECKOUT / "ansible"))

from stack.layout import Stack  # noqa: E402


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The running test stack, to look at."""
    found = Stack(CHECKOUT / ".stack-test")
    if not found.record():
        pytest.fail("there is no test stack: make stack STACK=.stack-test")
    return found


@pytest.fixture
def new_stack() -> Stack:
    """A stack that nobody has built: its directory is not there."""
    return Stack(CHECKOUT / ".stack-nowhere")
