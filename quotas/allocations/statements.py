"""An organisation's balance by GPU type, now or as it stood at an earlier moment.

granted + overrun = consumed + held + remaining + expired. `remaining` includes what its vouchers
have not yet allocated.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, Sum

from portal.people.models import Organisation
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.selectors import allocation_balances
from quotas.ledger.models import Transfer
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


def organisation_balances(organisation: Organisation, *, at: datetime | None = None) -> dict[str, OrganisationBalance]:
    """By GPU type, for every type that the organisation was ever awarded. `at` is a moment of booking; None is now."""
    vouchers = list(Voucher.objects.filter(organisation=organisation))
    allocations = list(Allocation.objects.filter(voucher__organisation=organisation))
    sums = _now(vouchers, allocations) if at is None else _then(vouchers, allocations, at)
    names = [field.name for field in fields(OrganisationBalance)]
    return {
        gpu_type: OrganisationBalance(**{name: sums[gpu_type, name] for name in names})
        for gpu_type in sorted({voucher.gpu_type for voucher in vouchers})
    }


Sums = dict[tuple[str, str], int]


def _now(vouchers: Iterable[Voucher], allocations: Iterable[Allocation]) -> Sums:
    """From the totals that the ledger keeps: two queries, however much was booked."""
    sums: Sums = defaultdict(int)
    known = balances([pk for row in vouchers for pk in (row.account_id, row.expired_account_id)])
    for voucher in vouchers:
        unallocated, expired = known[voucher.account_id].posted, known[voucher.expired_account_id].posted
        sums[voucher.gpu_type, "granted"] += unallocated + expired
        sums[voucher.gpu_type, "remaining"] += unallocated
        sums[voucher.gpu_type, "expired"] += expired
    types = {row.pk: row.gpu_type for row in allocations}
    for pk, one in allocation_balances(types).items():
        for field in fields(OrganisationBalance):
            sums[types[pk], field.name] += getattr(one, field.name)
    return sums


def _then(vouchers: Iterable[Voucher], allocations: Iterable[Allocation], at: datetime) -> Sums:
    """From the log: what was booked until then, holds by what was resolved until then."""
    role: dict[int, tuple[str, str]] = {}
    for voucher in vouchers:
        role[voucher.account_id] = (voucher.gpu_type, "voucher")
        role[voucher.expired_account_id] = (voucher.gpu_type, "expired")
    for row in allocations:
        role[row.account_id] = (row.gpu_type, "allocation")
        role[row.consumed_account_id] = (row.gpu_type, "consumed")
        role[row.expired_account_id] = (row.gpu_type, "expired")
        role[row.overrun_account_id] = (row.gpu_type, "overrun")
    sums: Sums = defaultdict(int)
    for debit, credit, amount in _flows(role, at, kinds=(Transfer.Kind.DIRECT, Transfer.Kind.POST)):
        _post(sums, role.get(debit), -amount)
        _post(sums, role.get(credit), amount)
        if (debit in role) != (credit in role):  # only a pool lies outside
            sums[role.get(debit, role.get(credit))[0], "granted"] += amount if credit in role else -amount  # type: ignore[index]
    for debit, credit, amount in _flows(role, at, kinds=(Transfer.Kind.HOLD,)):
        if debit in role:  # else a tranche that is not released
            gpu_type, kind = role[credit]
            is_job = kind == "consumed"
            sums[gpu_type, "held" if is_job else "withdrawals_pending"] += amount
            sums[gpu_type, "remaining"] -= amount if is_job else 0
    return sums


def _post(sums: Sums, role: tuple[str, str] | None, change: int) -> None:
    if role is None:
        return
    gpu_type, kind = role
    if kind in ("voucher", "allocation"):
        sums[gpu_type, "remaining"] += change
    else:
        sums[gpu_type, kind] += -change if kind == "overrun" else change


def _flows(accounts: Iterable[int], at: datetime, *, kinds: Iterable[str]) -> list[tuple[int, int, int]]:
    ids = list(accounts)
    rows = Transfer.objects.filter(Q(debit__in=ids) | Q(credit__in=ids), kind__in=kinds, booked_at__lte=at)
    if Transfer.Kind.HOLD in kinds:
        rows = rows.filter(~Exists(Transfer.objects.filter(resolves_id=OuterRef("pk"), booked_at__lte=at)))
    return list(rows.order_by().values_list("debit_id", "credit_id").annotate(sum=Sum("amount")))
