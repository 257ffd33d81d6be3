"""What the tests of this folder made in the test stack's Slurm goes at their end."""

from collections.abc import Iterator

import pytest

from tests.scheduler.live import RUBBISH


@pytest.fixture(scope="session", autouse=True)
def rubbish() -> Iterator[None]:
    yield
    RUBBISH.clear()
