"""Questions of the web to a cluster's worker, and its answers.

The web process reaches no cluster. It leaves a question on the cluster's queue (a Celery message that says what,
nothing of how) and looks for the answer in Redis when the page asks again a moment later. One answer serves everybody
who watches: a question that is on its way, or was answered within its time, is not asked again. Neither is missed.

Answers are somebody else's words and go through JSON. The worker writes them to Redis and reads nothing from there.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.cache import caches
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from portal.clock import now
from scheduler.clusters.adapters.protocol import ClusterError, OutputRefused, SubmissionRefused

logger = logging.getLogger(__name__)

KEPT_S = 60
ASKED_S = 10  # a question that nobody took by then is asked again
AWAY_S = 30  # who did not answer is left alone for so long: a home directory that hangs takes a worker each time


class NotReachable(Exception):
    """Redis is away: nothing can be asked."""


@dataclass(frozen=True)
class Reply:
    at: datetime
    body: dict[str, Any]
    code: str = ""  # why there is no body; "away": the cluster did not answer
    message: str = ""

    def is_old(self, fresh_s: float) -> bool:
        return (now() - self.at).total_seconds() >= (AWAY_S if self.code == "away" else fresh_s)


# ---- the web's side


@contextmanager
def reaching() -> Iterator[None]:
    """Around whatever asks. Raises NotReachable."""
    try:
        yield
    except (RedisError, OperationalError, OSError) as error:
        raise NotReachable from error


def last(key: str) -> Reply | None:
    """The last answer, however old; None: there is none (any more)."""
    row = caches["redis"].get(key)
    return Reply(datetime.fromtimestamp(row["at"], tz=UTC), row["body"], row["code"], row["message"]) if row else None


def claim(key: str) -> bool:
    """Whether it is this caller's to ask: nobody has a moment ago."""
    return bool(caches["redis"].add(asked_key(key), 1, timeout=ASKED_S))


def asked_key(key: str) -> str:
    return f"{key}:asked"


def send(task: Any, args: list[object], *, cluster: str) -> None:
    task.apply_async(args=args, queue=f"cluster.{cluster}", expires=ASKED_S, retry=False)


# ---- the cluster worker's side


def reply_of(key: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `read` says, or why it says nothing, as it is left for the web."""
    code, message, body = "", "", {}
    try:
        body = read()
    except (OutputRefused, SubmissionRefused) as refused:
        code, message = refused.code, refused.message
    except ClusterError as error:
        logger.warning("%s: %s", key, error)
        code = "away"
    return {"at": now().timestamp(), "body": body, "code": code, "message": message}


def leave(key: str, reply: dict[str, Any] | None, *, kept_s: int = KEPT_S) -> None:
    """None: busy with another one; the page asks again."""
    with suppress(RedisError, OSError):
        if reply is not None:
            caches["redis"].set(key, reply, timeout=kept_s)
        caches["redis"].delete(asked_key(key))
