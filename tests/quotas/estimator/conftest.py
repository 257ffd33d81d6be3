from collections.abc import Callable, Iterator

import pytest

from quotas.estimator import tariffs

Register = Callable[[dict[str, int]], None]


@pytest.fixture(autouse=True)
def tariff() -> Iterator[Register]:
    """The centre has no tariff unless a test says so: `tariff({"h100": 55_000})`."""
    before = tariffs._registered
    tariffs.register(None)
    yield lambda by_type: tariffs.register(by_type.get)
    tariffs.register(before)
