"""Locks. Whoever needs a balance before deciding takes the accounts' locks first, all at once, in the ledger's order.

Order, so that nobody waits in a circle: an allocation's or withdrawal's row, then ledger accounts by number.
"""

from collections.abc import Iterable

from quotas.allocations.models import Allocation
from quotas.ledger.selectors import Balance
from quotas.ledger.services import accounts_lock


def allocation_lock(allocation_id: int) -> Allocation:
    """Locks the allocation's row, so that its state does not change under a decision; rows may still refer to it."""
    rows = Allocation.objects.select_for_update(no_key=True, of=("self",)).select_related("voucher")
    return rows.get(pk=allocation_id)


def allocation_accounts_lock(allocations: Iterable[Allocation]) -> dict[int, Balance]:
    """Locks every ledger account that a charge, a refund or a withdrawal of these allocations can touch."""
    ids: set[int] = set()
    for allocation in allocations:
        ids |= {
            allocation.voucher.account_id,
            allocation.account_id,
            allocation.consumed_account_id,
            allocation.expired_account_id,
            allocation.overrun_account_id,
        }
    return accounts_lock(account_ids=ids)


def account_lock(account_id: int) -> Balance:
    return accounts_lock(account_ids=[account_id])[account_id]
