"""An organisation's balance by GPU type.

granted + overrun = consumed + held + remaining + expired. `remaining` includes what its vouchers
have not yet allocated.
"""

from collections import defaultdict
from dataclasses import dataclass, fields

from portal.people.models import Organisation
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.selectors import allocation_balances
from quotas.ledger.selectors import balances


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganisationBalance:
    """GPU-seconds of one GPU type. `withdrawals_pending` is a part of `remaining`."""

    granted: int = 0
    overrun: int = 0
    held: int = 0
    withdrawals_pending: int = 0
    consumed: int = 0
    remaining: int = 0
    expired: int = 0


def organisation_balances(organisation: Organisation) -> dict[str, OrganisationBalance]:
    """By GPU type, for every type that the organisation was ever awarded; in a fixed number of queries."""
    vouchers = list(Voucher.objects.filter(organisation=organisation))
    types = dict(Allocation.objects.filter(voucher__organisation=organisation).values_list("pk", "gpu_type").order_by())
    names = [field.name for field in fields(OrganisationBalance)]
    sums: dict[tuple[str, str], int] = defaultdict(int)
    known = balances([pk for row in vouchers for pk in (row.account_id, row.expired_account_id)])
    for voucher in vouchers:
        unallocated, expired = known[voucher.account_id].posted, known[voucher.expired_account_id].posted
        sums[voucher.gpu_type, "granted"] += unallocated + expired
        sums[voucher.gpu_type, "remaining"] += unallocated
        sums[voucher.gpu_type, "expired"] += expired
        sums[voucher.gpu_type, "withdrawals_pending"] += known[voucher.account_id].debits_pending  # between clusters
    for pk, one in allocation_balances(types).items():
        for name in names:
            sums[types[pk], name] += getattr(one, name)
    return {
        gpu_type: OrganisationBalance(**{name: sums[gpu_type, name] for name in names})
        for gpu_type in sorted({voucher.gpu_type for voucher in vouchers})
    }
