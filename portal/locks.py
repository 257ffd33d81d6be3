"""First keys of PostgreSQL's advisory locks, each given once: who shares one waits for the other.

The second key says which one of its kind: a cluster, a message, a hash.
"""

from enum import IntEnum, unique


@unique
class LockSpace(IntEnum):
    SLUG = 0x5A01  # slugs are looked up and taken by one transaction at a time
    MESSAGE = 0x5A02  # the outbox delivers a message in one process at a time
    CYCLE = 0x5A03  # one cycle of a cluster at a time
    IMPORT = 0x5A04  # one import into a cluster at a time
    CLUSTER_PLAN = 0x5A05  # one application of a plan to a cluster at a time
    FILE = 0x5A06  # nobody drops the file that another one is storing
    BOOKING = 0x5A07  # who books shares it, who closes a period takes it alone: written out in the ledger's SQL
