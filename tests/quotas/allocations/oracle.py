"""Balances and limits read from the log of transfers alone: what the totals, which the product reads, must equal."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, Sum

from portal.people.models import Organisation
from quotas.allocations.models import Allocation, Refund, Voucher
from quotas.ledger.models import Transfer

Sums = dict[tuple[str, str], int]


def balances_by_the_log(organisation: Organisation) -> Sums:
    """(GPU type, figure) → GPU-seconds."""
    vouchers = Voucher.objects.filter(organisation=organisation)
    allocations = Allocation.objects.filter(voucher__organisation=organisation)
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
    for debit, credit, amount in _flows(role, kinds=(Transfer.Kind.DIRECT, Transfer.Kind.POST)):
        _post(sums, role.get(debit), -amount)
        _post(sums, role.get(credit), amount)
        if (debit in role) != (credit in role):  # only a pool lies outside
            sums[role.get(debit, role.get(credit))[0], "granted"] += amount if credit in role else -amount  # type: ignore[index]
    for debit, credit, amount in _flows(role, kinds=(Transfer.Kind.HOLD,)):
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


def _flows(accounts: Iterable[int], *, kinds: Iterable[str]) -> list[tuple[int, int, int]]:
    ids = list(accounts)
    rows = Transfer.objects.filter(Q(debit__in=ids) | Q(credit__in=ids), kind__in=kinds)
    if Transfer.Kind.HOLD in kinds:
        rows = rows.filter(resolutions__isnull=True)
    return list(rows.order_by().values_list("debit_id", "credit_id").annotate(sum=Sum("amount")))


@dataclass(frozen=True)
class Limit:
    """GPU-seconds of one allocation: what its QOS may use in all, and what its records came to, refunded or not."""

    allowed: int
    charged: int


def limits_by_the_log() -> dict[str, Limit]:
    """By QOS: what came in, from the voucher, from other allocations or lent by the centre, less what went out or is on
    its way out; refunds raise it. Every transfer is read, no total is.
    """
    rows = list(Transfer.objects.order_by().values_list("id", "kind", "debit", "credit", "amount", "resolves"))
    resolved = {resolves for *_row, resolves in rows if resolves}
    moved: dict[tuple[int, int], int] = defaultdict(int)
    for pk, kind, debit, credit, amount, _resolves in rows:
        is_open_hold = kind == Transfer.Kind.HOLD and pk not in resolved
        if is_open_hold or kind in (Transfer.Kind.DIRECT, Transfer.Kind.POST):
            moved[debit, -credit if is_open_hold else credit] += amount  # -account: what is pending towards it
    refunded: dict[int, int] = defaultdict(int)
    for allocation, amount in Refund.objects.order_by().values_list("allocation", "amount_gpu_seconds"):
        refunded[allocation] += amount
    limits = {}
    for one in Allocation.objects.all():
        account, consumed = one.account_id, one.consumed_account_id
        into = sum(amount for (debit, credit), amount in moved.items() if credit == account and debit != consumed)
        out = sum(amount for (debit, credit), amount in moved.items() if debit == account and abs(credit) != consumed)
        charged = moved[account, consumed] - moved[consumed, account] + refunded[one.pk]
        limits[one.qos] = Limit(allowed=into - out + refunded[one.pk], charged=charged)
    return limits
