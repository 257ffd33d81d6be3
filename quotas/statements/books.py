"""What the ledger has of an organisation: its accounts, their balances at two moments, and what was booked between.

Balances are read in two ways that share no figure: at issue from the accounts' totals, less what was booked since; in
a verification by adding up the log from its beginning.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from portal.people.models import Organisation
from quotas.allocations.models import Allocation, Refund, Voucher
from quotas.statements.money import VoucherMoney, voucher_money
from quotas.statements.registry import consumption


@dataclass(frozen=True, slots=True)
class Part:
    """What an account is to its organisation. project: a slug, cluster: its name; None for what no project has yet."""

    role: str  # unallocated, allocation, consumed, expired, overrun
    gpu_type: str
    project: str | None
    voucher_id: int
    cluster: str | None = None

    @property
    def is_own(self) -> bool:
        """Its balance is what the organisation has."""
        return self.role in ("unallocated", "allocation")


@dataclass(frozen=True)
class Accounts:
    """The ledger accounts of an organisation's vouchers, imported history left out: nobody was awarded that."""

    vouchers: list[Voucher]
    parts: Mapping[int, Part]
    titles: Mapping[str, str]  # project slug: title

    def of_role(self, *roles: str) -> list[int]:
        return [pk for pk, part in self.parts.items() if part.role in roles]

    @property
    def moneys(self) -> list[VoucherMoney]:
        return [money for voucher in self.vouchers if (money := voucher_money(voucher))]

    @property
    def every(self) -> list[int]:
        """Those and the vouchers' money, and what was earned of it."""
        return [*self.parts, *(pk for money in self.moneys for pk in (money.money_account, money.earned_account))]

    @property
    def own(self) -> list[int]:
        """Those whose balance is what the organisation has: unallocated and allocated, holds included."""
        return [pk for pk, part in self.parts.items() if part.is_own]


def accounts_of(organisations: Collection[Organisation], *, before: datetime) -> dict[int, Accounts]:
    """By organisation, of vouchers that were made before a moment; two queries for any number of them."""
    vouchers = list(
        Voucher.objects.filter(organisation__in=organisations, imported=False, created_at__lt=before)
        .select_related("programme")
        .order_by("pk")
    )
    allocations: dict[int, list[Allocation]] = defaultdict(list)
    for row in Allocation.objects.filter(voucher__in=vouchers).select_related("project").order_by("pk"):
        allocations[row.voucher_id].append(row)
    awarded: dict[int, list[Voucher]] = defaultdict(list)
    for voucher in vouchers:
        awarded[voucher.organisation_id].append(voucher)
    return {one.pk: _accounts(awarded[one.pk], allocations) for one in organisations}


def _accounts(vouchers: list[Voucher], allocations: Mapping[int, list[Allocation]]) -> Accounts:
    parts: dict[int, Part] = {}
    titles: dict[str, str] = {}
    for voucher in vouchers:
        parts[voucher.account_id] = Part("unallocated", voucher.gpu_type, None, voucher.pk)
        parts[voucher.expired_account_id] = Part("expired", voucher.gpu_type, None, voucher.pk)
        for row in allocations.get(voucher.pk, ()):
            slug, titles[row.project.slug] = row.project.slug, row.project.title
            accounts = {
                "allocation": row.account_id,
                "consumed": row.consumed_account_id,
                "expired": row.expired_account_id,
                "overrun": row.overrun_account_id,
            }
            for role, pk in accounts.items():
                parts[pk] = Part(role, row.gpu_type, slug, row.voucher_id, row.cluster)
    return Accounts(vouchers, parts, titles)


# --- balances -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Positions:
    """By account: credits less debits posted at the beginning and at the end, and what was held at the end."""

    opening: Mapping[int, int]
    closing: Mapping[int, int]
    held: Mapping[int, int]


# What transfers changed on accounts, by the stretch of time between boundaries (0: before the first) they were booked
# in. `held` is what is reserved on the debit side: a hold adds it, its post or void takes all of it away.
_CHANGES = """
SELECT account_id, bucket, sum(posted), sum(held) FROM (
    SELECT t.debit_id AS account_id, width_bucket(t.booked_at, %(boundaries)s::timestamptz[]) AS bucket,
           CASE WHEN t.kind IN ('direct', 'post') THEN -t.amount ELSE 0 END AS posted,
           CASE WHEN t.kind = 'hold' THEN t.amount ELSE -coalesce(h.amount, 0) END AS held
      FROM ledger_transfer t LEFT JOIN ledger_transfer h ON h.id = t.resolves_id
     WHERE t.debit_id = ANY (%(ids)s) AND t.booked_at >= %(since)s
     UNION ALL
    SELECT t.credit_id, width_bucket(t.booked_at, %(boundaries)s::timestamptz[]),
           CASE WHEN t.kind IN ('direct', 'post') THEN t.amount ELSE 0 END, 0
      FROM ledger_transfer t
     WHERE t.credit_id = ANY (%(ids)s) AND t.booked_at >= %(since)s
) sides GROUP BY account_id, bucket
"""

_TOTALS = """
WITH changes (account_id, bucket, posted, held) AS ({changes})
SELECT a.id, a.credits_posted - a.debits_posted, a.debits_pending, c.bucket, c.posted, c.held
  FROM ledger_account a LEFT JOIN changes c ON c.account_id = a.id WHERE a.id = ANY (%(ids)s)
"""
_BEGINNING = "-infinity"


def positions_now(ids: Collection[int], begins_at: datetime, ends_at: datetime) -> Positions:
    """From the accounts' totals, in one statement: only what was booked since `begins_at` is read of the log."""
    opening: dict[int, int] = {}
    closing: dict[int, int] = {}
    held: dict[int, int] = {}
    given: dict[str, Any] = {"ids": list(ids), "since": begins_at, "boundaries": [begins_at, ends_at]}
    for pk, posted, pending, bucket, posted_change, held_change in _rows(_TOTALS.format(changes=_CHANGES), given):
        opening.setdefault(pk, int(posted))
        closing.setdefault(pk, int(posted))
        held.setdefault(pk, int(pending))
        if bucket is not None:
            opening[pk] -= int(posted_change)
        if bucket == 2:
            closing[pk] -= int(posted_change)
            held[pk] -= int(held_change)
    return Positions(opening, closing, held)


def positions_from_log(ids: Collection[int], boundaries: Sequence[datetime]) -> list[Positions]:
    """Between each boundary and the next one, by adding up every transfer since the first; one statement."""
    given = {"ids": list(ids), "since": _BEGINNING, "boundaries": list(boundaries)}
    posted = {bucket: dict.fromkeys(ids, 0) for bucket in range(len(boundaries) + 1)}
    held = {bucket: dict.fromkeys(ids, 0) for bucket in range(len(boundaries) + 1)}
    for pk, bucket, posted_change, held_change in _rows(_CHANGES, given):
        for later in range(bucket, len(boundaries) + 1):
            posted[later][pk] += int(posted_change)
            held[later][pk] += int(held_change)
    return [
        Positions(opening=posted[number - 1], closing=posted[number], held=held[number])
        for number in range(1, len(boundaries))
    ]


# --- movements ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Movement:
    """Transfers that were posted. Plain charges of one account and one day of events are one; any other stands alone,
    with its id, batch and reason."""

    debit_id: int
    credit_id: int
    debit_kind: str  # the accounts' kinds
    credit_kind: str
    kind: str  # direct or post
    event_on: date  # the centre's day
    amount: int
    count: int
    id: UUID | None = None
    batch: UUID | None = None
    reason: str = ""


_MOVEMENTS = """
WITH posted AS (
    SELECT * FROM ledger_transfer
     WHERE debit_id = ANY (%(ids)s) AND booked_at >= %(begins_at)s AND booked_at < %(ends_at)s
     UNION
    SELECT * FROM ledger_transfer
     WHERE credit_id = ANY (%(ids)s) AND booked_at >= %(begins_at)s AND booked_at < %(ends_at)s
), told AS (
    SELECT p.*, d.kind AS debit_kind, c.kind AS credit_kind, (p.event_at AT TIME ZONE %(zone)s)::date AS event_on,
           p.id = p.batch AND c.kind = 'consumed' AS plain
      FROM posted p JOIN ledger_account d ON d.id = p.debit_id JOIN ledger_account c ON c.id = p.credit_id
     WHERE p.kind IN ('direct', 'post') AND p.amount > 0
)
SELECT debit_id, credit_id, debit_kind, credit_kind, kind, event_on, sum(amount), count(*),
       CASE WHEN NOT plain THEN id END, CASE WHEN NOT plain THEN batch END, CASE WHEN NOT plain THEN reason ELSE '' END
  FROM told
 GROUP BY debit_id, credit_id, debit_kind, credit_kind, kind, event_on,
          CASE WHEN NOT plain THEN id END, CASE WHEN NOT plain THEN batch END,
          CASE WHEN NOT plain THEN reason ELSE '' END
 ORDER BY event_on, 9
"""


def movements(ids: Collection[int], begins_at: datetime, ends_at: datetime) -> list[Movement]:
    """What was posted on accounts and booked in the time, in one statement."""
    given = {"ids": list(ids), "begins_at": begins_at, "ends_at": ends_at, "zone": settings.CENTRE_TIME_ZONE}
    return [
        Movement(
            debit_id=row[0],
            credit_id=row[1],
            debit_kind=row[2],
            credit_kind=row[3],
            kind=row[4],
            event_on=row[5],
            amount=int(row[6]),
            count=row[7],
            id=row[8],
            batch=row[9],
            reason=row[10],
        )
        for row in _rows(_MOVEMENTS, given)
    ]


# --- an organisation's month ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Booked:
    """What was booked in a time: on an organisation's own accounts, and on its vouchers' money. `refunds`: which of
    them are; `people`: net GPU-seconds by ("consumed" account, unix account)."""

    own: list[Movement] = field(default_factory=list)
    money: list[Movement] = field(default_factory=list)
    refunds: set[UUID] = field(default_factory=set)
    people: dict[tuple[int, str], int] = field(default_factory=dict)


def booked_of(accounts: Mapping[int, Accounts], begins_at: datetime, ends_at: datetime) -> dict[int, Booked]:
    """By organisation; three queries for any number of them."""
    found = {key: Booked() for key in accounts}
    own = {pk: key for key, one in accounts.items() for pk in one.own}
    money = {money.money_account: key for key, one in accounts.items() for money in one.moneys}
    for row in movements([*own, *money], begins_at, ends_at):
        for key in _sides(row, own):
            found[key].own.append(row)
        for key in _sides(row, money):
            found[key].money.append(row)
    refunds = _refunds(row for one in found.values() for row in one.own)
    consumed = {pk: key for key, one in accounts.items() for pk in one.of_role("consumed")}
    for (pk, name), amount in consumption.by_person(list(consumed), begins_at, ends_at).items():
        found[consumed[pk]].people[pk, name] = amount
    for one in found.values():
        one.refunds.update(row.id for row in one.own if row.id in refunds)
    return found


def _sides(row: Movement, owners: Mapping[int, int]) -> set[int]:
    return {owners[pk] for pk in (row.debit_id, row.credit_id) if pk in owners}


def _refunds(rows: Iterable[Movement]) -> set[UUID]:
    return set(Refund.objects.filter(pk__in=[row.id for row in rows if row.id]).values_list("pk", flat=True))


def _rows(sql: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall()
