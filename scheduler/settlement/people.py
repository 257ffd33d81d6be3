"""Who used what was booked: for statements, which know accounts and charges but no record of Slurm's."""

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import connection

# Everything about a record (its charge, corrections, refunds) lies in the batch that bears its charge's id.
_BY_USER = """
SELECT moved.account_id, r.user, sum(moved.amount) FROM (
    SELECT t.credit_id AS account_id, t.batch, t.amount FROM ledger_transfer t
     WHERE t.credit_id = ANY (%(accounts)s) AND t.kind IN ('direct', 'post')
       AND t.booked_at >= %(begins_at)s AND t.booked_at < %(ends_at)s
     UNION ALL
    SELECT t.debit_id, t.batch, -t.amount FROM ledger_transfer t
     WHERE t.debit_id = ANY (%(accounts)s) AND t.kind IN ('direct', 'post')
       AND t.booked_at >= %(begins_at)s AND t.booked_at < %(ends_at)s
) moved JOIN settlement_record r ON r.charge = moved.batch
GROUP BY moved.account_id, r.user
"""


def consumed_by_user(
    accounts: Collection[int], begins_at: datetime, ends_at: datetime
) -> Mapping[tuple[int, str], int]:
    """Net GPU-seconds booked on "consumed" accounts in the time, by (account, unix account)."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_USER, {"accounts": list(accounts), "begins_at": begins_at, "ends_at": ends_at})
        return {(account, user): int(amount) for account, user, amount in cursor.fetchall()}
