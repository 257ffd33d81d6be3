"""First keys of PostgreSQL's advisory locks, each given once: who shares one waits for the other.

The second key says which one of its kind: a cluster, a message, a hash.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique
from time import monotonic, sleep

from django.db import connection

LOOK_EVERY_S = 0.05


@unique
class LockSpace(IntEnum):
    SLUG = 0x5A01  # slugs are looked up and taken by one transaction at a time
    MESSAGE = 0x5A02  # the outbox delivers a message in one process at a time
    CYCLE = 0x5A03  # one cycle of a cluster at a time
    IMPORT = 0x5A04  # one import into a cluster at a time
    CLUSTER_PLAN = 0x5A05  # one application of a plan to a cluster at a time
    FILE = 0x5A06  # nobody drops the file that another one is storing
    STARTS = 0x5A11  # one asking for the start of what is not submitted at a time, for each cluster
    SUBMISSION = 0x5A15  # one submission of a researcher's jobs to a cluster at a time
    OUTPUT = 0x5A10  # one reading of what jobs wrote at a time, for each cluster
    ATTRIBUTION = 0x5A12  # one asking of all exporters at a time
    WATCHING = 0x5A14  # one look for what somebody should see to at a time
    ROLLUP = 0x5A13  # windows and sums by day are written by one process at a time
    BOOKING = 0x5A07  # who books shares it, who closes a period takes it alone: written out in the ledger's SQL


@contextmanager
def held_if_free(space: LockSpace, number: int, *, wait_s: float = 0) -> Iterator[bool]:
    """Whether the lock is ours for the block's length. It belongs to the session and ends with its process."""
    deadline = monotonic() + wait_s
    while not (is_ours := _try(space, number)) and monotonic() < deadline:
        sleep(LOOK_EVERY_S)
    try:
        yield is_ours
    finally:
        # A connection that broke has lost the lock with it.
        if is_ours and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [space, number])


def _try(space: LockSpace, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [space, number])
        return bool(cursor.fetchone()[0])
