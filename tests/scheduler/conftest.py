"""A place in the test stack's real Slurm, and the portal's rows for it."""

from collections.abc import Iterator

import pytest

from tests.scheduler.jobs.real import Place, Real, clear, place_in_slurm, real_project


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """Made once for all who take turns in it; who needs another limit has one of their own under this name."""
    with place_in_slurm() as made:
        yield made


@pytest.fixture
def real(db: None, place: Place) -> Iterator[Real]:
    """A project whose allocation is the place. Nothing of it is left in the queue for the next one."""
    made = real_project(place)
    yield made
    clear(made.adapter, place)
