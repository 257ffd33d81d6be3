from collections.abc import Callable

import pytest
from django.core.cache import caches
from django.db import transaction
from kombu.exceptions import OperationalError
from pytest_django import DjangoCaptureOnCommitCallbacks

from portal.outbox import services, tasks
from portal.outbox.models import Message


@pytest.fixture(autouse=True)
def _no_relay_on_its_way() -> None:
    caches["redis"].clear()


def write() -> None:
    with transaction.atomic():
        services.message_write(topic="test.note", key="a", payload={}, queue="cluster.local")


@pytest.mark.django_db
def test_a_commit_wakes_the_queues_own_worker(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(tasks.relay, "apply_async", lambda **options: asked.append(options))
    with django_capture_on_commit_callbacks(execute=True):
        write()
    assert [(call["args"], call["queue"]) for call in asked] == [(["cluster.local"], "cluster.local")]


@pytest.mark.django_db
def test_a_relay_on_its_way_is_not_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(tasks.relay, "apply_async", lambda **options: asked.append(options))
    services.wake("default")
    services.wake("default")
    services.wake("cluster.local")
    assert len(asked) == 2
    tasks.relay("default")  # it looks: what comes after that needs another
    services.wake("default")
    assert len(asked) == 3


@pytest.mark.parametrize("trouble", [OperationalError, RuntimeError])
@pytest.mark.django_db(transaction=True)
def test_a_broker_in_trouble_breaks_no_request(
    monkeypatch: pytest.MonkeyPatch, trouble: Callable[[], Exception]
) -> None:
    def away(**options: object) -> None:
        raise trouble

    monkeypatch.setattr(tasks.relay, "apply_async", away)
    write()
    assert Message.objects.count() == 1
