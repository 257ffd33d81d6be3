"""The Redis cache of the stack, as its processes use it."""

import pickle
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.core.cache.backends.redis import RedisCache

from portal import settings as installed
from portal.redis_json import JsonSerializer

pytestmark = pytest.mark.stack


class Harmful:
    ran = False

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return harm, ()


def harm() -> str:
    Harmful.ran = True
    return "harm"


@pytest.fixture
def store() -> Iterator[RedisCache]:
    how = installed.CACHES["redis"]
    made = RedisCache(how["LOCATION"], {"KEY_PREFIX": f"test-{uuid4()}", "OPTIONS": dict(how["OPTIONS"])})
    yield made
    made.delete_many(["a", "b"])
    made.close()


def test_what_is_written_is_read(store: RedisCache) -> None:
    value = {"text": "nhật ký", "list": [1, None, True], "share": 0.5}
    store.set("a", value, timeout=10)
    assert store.get("a") == value
    assert store.add("a", 1, timeout=10) is False
    store.set("b", 1, timeout=10)
    assert store.incr("b") == 2


def test_a_pickle_that_somebody_left_there_is_not_run(store: RedisCache) -> None:
    client = store._cache.get_client(write=True)
    client.set(store.make_key("a"), pickle.dumps(Harmful()), ex=10)
    with pytest.raises(UnicodeDecodeError):
        store.get("a")
    assert not Harmful.ran


def test_what_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError):
        JsonSerializer().dumps(b"bytes")
