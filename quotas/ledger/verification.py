"""Does the ledger still add up? Read only; every question is one statement, so each sees one moment.

The log is added up anew in another way than the trigger's increments: what is pending is not "added and taken away
again" but "the holds that nothing resolves".
"""

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F

from quotas.ledger.models import Account, Transfer
from quotas.ledger.selectors import holds_open

# debits pending, debits posted, credits pending, credits posted
Totals = tuple[int, int, int, int]

_DRIFTS = """
WITH moved AS (
    SELECT t.debit_id, t.credit_id,
           CASE WHEN t.kind = 'hold' AND r.id IS NULL THEN t.amount ELSE 0 END AS pending,
           CASE WHEN t.kind IN ('direct', 'post') THEN t.amount ELSE 0 END AS posted
      FROM ledger_transfer t LEFT JOIN ledger_transfer r ON r.resolves_id = t.id
), log AS (
    SELECT account_id, sum(dp) AS dp, sum(dt) AS dt, sum(cp) AS cp, sum(ct) AS ct
      FROM (SELECT debit_id AS account_id, pending AS dp, posted AS dt, 0 AS cp, 0 AS ct FROM moved
            UNION ALL
            SELECT credit_id, 0, 0, pending, posted FROM moved) sides
     GROUP BY account_id
), compared AS (
    SELECT coalesce(a.id, log.account_id) AS id,
           coalesce(a.debits_pending, 0) AS dp, coalesce(a.debits_posted, 0) AS dt,
           coalesce(a.credits_pending, 0) AS cp, coalesce(a.credits_posted, 0) AS ct,
           coalesce(log.dp, 0) AS log_dp, coalesce(log.dt, 0) AS log_dt,
           coalesce(log.cp, 0) AS log_cp, coalesce(log.ct, 0) AS log_ct
      FROM ledger_account a FULL JOIN log ON log.account_id = a.id
)
SELECT * FROM compared WHERE (dp, dt, cp, ct) <> (log_dp, log_dt, log_cp, log_ct) ORDER BY id
"""

_UNBALANCED_UNITS = """
SELECT unit, sum(debits_posted) - sum(credits_posted), sum(debits_pending) - sum(credits_pending)
  FROM ledger_account GROUP BY unit
HAVING sum(debits_posted) <> sum(credits_posted) OR sum(debits_pending) <> sum(credits_pending)
 ORDER BY unit
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """An account whose totals are not what its transfers add up to."""

    account_id: int
    totals: Totals
    log: Totals


@dataclass(frozen=True, slots=True)
class UnbalancedUnit:
    """A unit whose debits and credits differ, in that unit."""

    unit: str
    posted: int
    pending: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What was read, and everything that is wrong with it."""

    verified_at: datetime
    duration_s: float
    accounts: int
    transfers: int
    drifts: list[Drift]
    unbalanced_units: list[UnbalancedUnit]
    overdrawn_account_ids: list[int]
    overdue_hold_ids: list[UUID]

    @property
    def ok(self) -> bool:
        return not (self.drifts or self.unbalanced_units or self.overdrawn_account_ids or self.overdue_hold_ids)


def ledger_findings(*, at: datetime) -> Findings:
    """Read the whole ledger as of `at` (aware).

    Totals equal the log, debits equal credits in every unit, nobody is below zero who may not, and no hold is
    unresolved after its expires_at.
    """
    started_s = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_DRIFTS)
        drifts = [
            Drift(account_id, tuple(map(int, both[:4])), tuple(map(int, both[4:])))  # type: ignore[arg-type]
            for account_id, *both in cursor.fetchall()
        ]
        cursor.execute(_UNBALANCED_UNITS)
        unbalanced = [UnbalancedUnit(unit, int(posted), int(pending)) for unit, posted, pending in cursor.fetchall()]
    overdrawn = Account.objects.filter(
        may_overdraw=False, credits_posted__lt=F("debits_posted") + F("debits_pending")
    ).order_by("pk")
    overdue = holds_open().filter(expires_at__lt=at).order_by("expires_at", "pk")
    return Findings(
        verified_at=at,
        accounts=Account.objects.count(),
        transfers=Transfer.objects.count(),
        drifts=drifts,
        unbalanced_units=unbalanced,
        overdrawn_account_ids=list(overdrawn.values_list("pk", flat=True)),
        overdue_hold_ids=list(overdue.values_list("pk", flat=True)),
        duration_s=time.monotonic() - started_s,
    )
