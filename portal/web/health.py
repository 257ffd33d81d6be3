"""Is every part there? Each check answers by itself; none waits longer than a second; no answer carries an address."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from prometheus_client.core import GaugeMetricFamily, Metric

from portal.clock import now
from portal.web.models import Heartbeat

logger = logging.getLogger(__name__)

HEARTBEAT_LIMIT_S = 60  # six missed answers
REDIS_TIMEOUT_S = 1
_migrated = False  # once all are applied they stay so for the life of this code


@dataclass(frozen=True)
class Check:
    ok: bool
    note: str = ""


def _database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check(True)


def _redis() -> Check:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
    ) as client:
        client.ping()
    return Check(True)


def _migrations() -> Check:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return Check(False, f"{len(missing)} not applied")
        _migrated = True
    return Check(True)


def _heartbeats() -> dict[str, Check]:
    queues = ["default", *(f"cluster.{name}" for name in settings.CLUSTERS)]
    ages_s = heartbeat_ages_s()
    checks = {}
    for queue in queues:
        age_s = ages_s.get(queue)
        if age_s is None:
            checks[f"worker {queue}"] = Check(False, "has never answered")
        else:
            checks[f"worker {queue}"] = Check(age_s < HEARTBEAT_LIMIT_S, f"answered {age_s:.0f} s ago")
    youngest = min((ages_s[queue] for queue in queues if queue in ages_s), default=None)
    # An answer of any worker shows that the beat asked.
    beating = youngest is not None and youngest < HEARTBEAT_LIMIT_S
    return checks | {"beat": Check(beating, "" if beating else "no worker was asked lately, or none answered")}


def heartbeat_ages_s() -> dict[str, float]:
    """Seconds since each queue's worker last answered."""
    moment = now()
    return {beat.queue: (moment - beat.seen_at).total_seconds() for beat in Heartbeat.objects.all()}


def _guarded(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # the answer names the kind of trouble; the log has the rest
        logger.warning("health: %s: %s", check.__name__, error)
        return Check(False, type(error).__name__)


def checks() -> dict[str, Check]:
    """Every part by name. What lies in the database is not asked when the database is away."""
    found = {"database": _guarded(_database), "redis": _guarded(_redis)}
    if found["database"].ok:
        found["migrations"] = _guarded(_migrations)
        if found["migrations"].ok:
            found |= _heartbeats()
    return found


def collect() -> Iterator[Metric]:
    """For /metrics."""
    ages = GaugeMetricFamily(
        "saola_worker_heartbeat_age_seconds", "Seconds since a queue's worker last answered the beat.", labels=["queue"]
    )
    for queue, age_s in heartbeat_ages_s().items():
        ages.add_metric([queue], age_s)
    yield ages
