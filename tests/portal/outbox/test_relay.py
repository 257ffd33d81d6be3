from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from portal.clock import now
from portal.outbox import registry, services
from portal.outbox.errors import Later, NotInTransaction
from portal.outbox.models import Message


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the messages that the topic "test.note" delivered."""
    keys: list[str] = []
    monkeypatch.setitem(registry._handlers, "test.note", lambda message: keys.append(message.key))
    return keys


def write(key: str, *, topic: str = "test.note", queue: str = "default") -> Message:
    with transaction.atomic():
        services.message_write(topic=topic, key=key, payload={}, queue=queue)
    return Message.objects.get(topic=topic, key=key)


@pytest.mark.django_db
def test_it_delivers_once(seen: list[str]) -> None:
    write("a")
    write("a")
    assert services.messages_deliver(queue="default") == 1
    assert services.messages_deliver(queue="default") == 0
    assert seen == ["a"]


@pytest.mark.django_db
def test_several_at_once_are_delivered_once_each(
    seen: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    write("b")
    with django_capture_on_commit_callbacks() as wakes, transaction.atomic():
        services.messages_write(topic="test.note", payloads={"a": {"number": 1}, "b": {"number": 2}, "c": {}})
        services.messages_write(topic="test.note", payloads={})
    assert len(wakes) == 1
    assert services.messages_deliver(queue="default") == 3
    assert sorted(seen) == ["a", "b", "c"]
    assert Message.objects.get(key="a").payload == {"number": 1}
    assert Message.objects.get(key="b").payload == {}, "the first one counts"


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_write_outside_a_transaction() -> None:
    with pytest.raises(NotInTransaction):
        services.message_write(topic="test.note", key="a", payload={})
    with pytest.raises(NotInTransaction):
        services.messages_write(topic="test.note", payloads={"a": {}})


@pytest.mark.django_db
def test_it_leaves_other_queues_alone(seen: list[str]) -> None:
    write("a", queue="cluster.local")
    assert services.messages_deliver(queue="default") == 0
    assert services.messages_deliver(queue="cluster.local") == 1


@pytest.mark.django_db
def test_a_failing_message_waits_longer_each_time_and_does_not_stop_the_others(
    seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(message: Message) -> None:
        raise RuntimeError("no route")

    monkeypatch.setitem(registry._handlers, "test.fail", fail)
    bad = write("bad", topic="test.fail")
    write("good")
    assert services.messages_deliver(queue="default") == 1
    assert seen == ["good"]
    bad.refresh_from_db()
    assert (bad.attempts, bad.last_error, bad.delivered_at) == (1, "RuntimeError: no route", None)
    assert bad.due_at > now()
    assert [services.backoff_s(attempts) for attempts in (1, 2, 3, 10, 1000)] == [1, 2, 4, 300, 300]


@pytest.mark.django_db
def test_a_message_without_a_handler_is_kept() -> None:
    message = write("a", topic="test.nobody")
    services.messages_deliver(queue="default")
    message.refresh_from_db()
    assert message.last_error == "HandlerUnknown: test.nobody"


@pytest.mark.django_db
def test_later_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def later(message: Message) -> None:
        raise Later(30, "slurmctld is away")

    monkeypatch.setitem(registry._handlers, "test.later", later)
    message = write("a", topic="test.later")
    services.messages_deliver(queue="default")
    message.refresh_from_db()
    assert message.attempts == 0
    assert message.due_at > now() + timedelta(seconds=20)


@pytest.mark.django_db(transaction=True)
def test_two_relays_never_deliver_the_same_message_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, finish = Event(), Event()
    calls: list[str] = []

    def slow(message: Message) -> None:
        calls.append(message.key)
        begun.set()
        assert finish.wait(10)

    monkeypatch.setitem(registry._handlers, "test.slow", slow)
    write("a", topic="test.slow")

    def relay() -> None:
        try:
            services.messages_deliver(queue="default")
        finally:
            connection.close()

    first = Thread(target=relay)
    first.start()
    assert begun.wait(10)
    assert services.messages_deliver(queue="default") == 0
    finish.set()
    first.join(10)
    assert calls == ["a"]
    assert Message.objects.get().delivered_at is not None
