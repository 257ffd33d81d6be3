"""Writing and delivering messages.

At least once, and not by two processes at the same time: while a message is being delivered, its deliverer holds a
session lock in PostgreSQL, which ends with the process however it ends. (Only if the database connection itself
breaks in the middle of a delivery may a second one begin beside it; handlers find that out by their own state.) The
relay therefore needs a direct connection, not a pooler that shares sessions.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.core.cache import caches
from django.db import connection, transaction
from kombu.exceptions import OperationalError

from portal.audit.context import acting
from portal.clock import now
from portal.locks import LockSpace
from portal.outbox.errors import Later, NotInTransaction
from portal.outbox.models import Message
from portal.outbox.registry import handler_for

logger = logging.getLogger(__name__)

BACKOFF_FIRST_S = 1
BACKOFF_LIMIT_S = 300
ON_ITS_WAY_S = 5  # a relay that does not begin within this is taken for lost


_WRITE = """
    INSERT INTO outbox_message (topic, key, payload, queue, created_at, due_at, attempts, last_error)
    VALUES (%s, %s, %s, %s, %s, %s, 0, '') ON CONFLICT (topic, key) DO NOTHING
"""


def message_write(
    *, topic: str, key: str, payload: dict[str, object], queue: str = "default", due_at: datetime | None = None
) -> bool:
    """Asks for an effect, in the transaction of its cause. The same topic and key a second time is the same message;
    returns whether it was the first.

    Raises NotInTransaction.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{topic} {key}")
    moment = now()
    with connection.cursor() as cursor:  # one statement: get_or_create takes four, in every job's submission
        cursor.execute(_WRITE, [topic, key, json.dumps(payload), queue, moment, due_at or moment])
        is_new = cursor.rowcount == 1
    if is_new and (due_at is None or due_at <= moment):
        # Robust: the work is committed; no trouble of a wake-up may turn that into an error page.
        transaction.on_commit(lambda: wake(queue), robust=True)
    return is_new


def messages_write(*, topic: str, payloads: Mapping[str, dict[str, object]], queue: str = "default") -> None:
    """Asks for effects of one kind, each payload by its key, in one query; otherwise as `message_write`.

    Raises NotInTransaction.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(topic)
    moment = now()
    Message.objects.bulk_create(
        [
            Message(topic=topic, key=key, payload=payload, queue=queue, created_at=moment, due_at=moment)
            for key, payload in payloads.items()
        ],
        ignore_conflicts=True,
    )
    if payloads:
        transaction.on_commit(lambda: wake(queue), robust=True)


def wake(queue: str) -> None:
    """Tells the queue's worker that there is work. Lost wake-ups cost seconds, not messages: the beat asks too.

    Where a relay is on its way and has not looked yet, it will see this work too: nothing is sent.
    """
    from portal.outbox.tasks import relay  # noqa: PLC0415  tasks imports this module

    try:
        if not caches["redis"].add(_on_its_way(queue), 1, timeout=ON_ITS_WAY_S):
            return
    except Exception as error:  # no cache: then one too many is sent
        logger.warning("outbox: %s: %s", queue, error)
    try:
        relay.apply_async(args=[queue], queue=queue, retry=False)
    except OperationalError as error:
        logger.warning("outbox: no wake-up for %s: %s", queue, error)


def woken(queue: str) -> None:
    """A relay says that it looks now: work that is committed from here on needs another one."""
    try:
        caches["redis"].delete(_on_its_way(queue))
    except Exception as error:  # it ends by itself after ON_ITS_WAY_S
        logger.warning("outbox: %s: %s", queue, error)


def _on_its_way(queue: str) -> str:
    return f"outbox:on-its-way:{queue}"


def backoff_s(attempts: int) -> int:
    """Seconds until the next try after so many failed ones: 1, 2, 4, … at most 300."""
    return min(BACKOFF_LIMIT_S, BACKOFF_FIRST_S * 2 ** min(attempts - 1, 20))


def messages_deliver(*, queue: str, limit: int = 200) -> int:
    """Delivers what is due in the queue, oldest first, and returns how many. One failing message does not stop the
    others.
    """
    delivered, tried = 0, set[int]()
    while len(tried) < limit:
        with _claimed(queue) as message_id:
            if message_id is None or message_id in tried:
                break
            tried.add(message_id)
            delivered += message_deliver(message_id=message_id)
    return delivered


def message_deliver(*, message_id: int) -> bool:
    """Delivers one message that this process holds the lock of. True if it is delivered now by this call."""
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(skip_locked=True)
            .filter(pk=message_id, delivered_at__isnull=True, due_at__lte=now())  # another relay may have been quicker
            .first()
        )
        if message is None:
            return False
        message.attempts += 1
        message.save(update_fields=["attempts"])
    try:
        with acting(f"outbox:{message.queue}", message.topic):
            handler_for(message.topic)(message)
    except Later as later:
        _put_off(message, later.after_s, str(later), attempts=0)
        return False
    except Exception as error:  # whatever a handler raises, the message stays and the others go on
        logger.exception("outbox: %s %s failed (attempt %d)", message.topic, message.key, message.attempts)
        _put_off(message, backoff_s(message.attempts), f"{type(error).__name__}: {error}", attempts=message.attempts)
        return False
    Message.objects.filter(pk=message.pk).update(delivered_at=now(), last_error="")
    return True


def _put_off(message: Message, after_s: float, why: str, *, attempts: int) -> None:
    Message.objects.filter(pk=message.pk, delivered_at__isnull=True).update(
        due_at=now() + timedelta(seconds=after_s), last_error=why[:2000], attempts=attempts
    )


# Rows are tried one after another and no further than the first whose lock is free: relays that run side by side take
# one message each and never go through what the others hold. What a relay failed to deliver is not due any more.
_CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id FROM outbox_message
         WHERE queue = %s AND delivered_at IS NULL AND due_at <= %s ORDER BY due_at, id LIMIT 200)
    SELECT id FROM due WHERE pg_try_advisory_lock(%s, (id & 2147483647)::int) LIMIT 1
"""


@contextmanager
def _claimed(queue: str) -> Iterator[int | None]:
    """The oldest due message that no other relay is at, locked for this one; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [queue, now(), LockSpace.MESSAGE])
        row = cursor.fetchone()
    try:
        yield row[0] if row else None
    finally:
        if row and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LockSpace.MESSAGE, row[0] & 0x7FFFFFFF])
