"""Closing a month: what was earned in it is booked at its last moment, then nothing is booked into it any more."""

from uuid import UUID, uuid5

from django.db import connection, transaction

from portal.clock import now
from portal.outbox.services import message_write
from quotas.actors import Actor, actor_key
from quotas.allocations.models import Voucher
from quotas.ledger.models import Account
from quotas.ledger.services import Entry, booking_stop, ledger_close, transfers_book
from quotas.statements.books import positions_now
from quotas.statements.errors import MonthNotOver
from quotas.statements.models import Period
from quotas.statements.money import VoucherMoney, voucher_money
from quotas.statements.months import Month

# Never change it: what was earned in a month is found again by an id made from it.
EARNED_NAMESPACE = UUID("1d1f4b0a-2f0e-5d0c-8a51-6a4f0f5f7c11")


def periods_close(*, month: Month, actor: Actor) -> list[Period]:
    """Closes every open month through `month`, oldest first, each in a transaction of its own; answers the new ones.

    Raises MonthNotOver; the ledger's LedgerBusy where somebody's batch takes too long: nothing is closed then, try
    again.
    """
    if month.ends_at > now():
        raise MonthNotOver(str(month))
    closed = []
    while (next_month := _first_open(month)) <= month:
        period = _close(next_month, actor)
        if period is not None:
            closed.append(period)
    return closed


def closing_ask(*, month: Month, actor: Actor) -> None:
    """Has the worker close and issue a month; for a page, which does not wait for it. Again: nothing more.

    Raises MonthNotOver.
    """
    if month.ends_at > now():
        raise MonthNotOver(str(month))
    with transaction.atomic():
        message_write(topic="statements.issue", key=str(month), payload={"month": str(month), "by": actor_key(actor)})


def _first_open(otherwise: Month) -> Month:
    """The month after the last closed one; of a ledger that was never closed, the month of its first transfer."""
    last = Period.objects.order_by("-month").values_list("month", flat=True).first()
    if last is not None:
        return Month.of(last).next
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(booked_at) FROM ledger_transfer")
        (first,) = cursor.fetchone()
    return min(Month.at(first), otherwise) if first else otherwise


def _close(month: Month, actor: Actor) -> Period | None:
    with transaction.atomic():
        booking_stop()
        if Period.objects.filter(month=month.first).exists():
            return None  # somebody else was quicker
        transfers_book(entries=_earned_entries(month), booked_at=month.last_moment, actor=actor_key(actor))
        ledger_close(until=month.ends_at, closed_at=now(), actor=actor_key(actor))
        return Period.objects.create(
            month=month.first,
            begins_at=month.begins_at,
            ends_at=month.ends_at,
            closed_at=now(),
            closed_by=actor_key(actor),
        )


def _earned_entries(month: Month) -> list[Entry]:
    """What each voucher's money earned until the month's end, less what was booked as earned before; both ways."""
    vouchers = Voucher.objects.filter(imported=False, created_at__lt=month.ends_at).order_by("pk")
    moneys = {voucher.pk: money for voucher in vouchers if (money := voucher_money(voucher))}
    if not moneys:
        return []
    used, accounts = _used(list(moneys), month)
    positions = positions_now(
        [pk for money in moneys.values() for pk in (money.money_account, money.earned_account)],
        month.begins_at,
        month.ends_at,
    )
    entries = []
    for pk, money in moneys.items():
        total = money.earned_vnd(sum(used[account] for account in accounts.get(pk, [])))
        # Never more than the voucher has: what it lacks, for a moment, is earned in a later month.
        amount = min(total - positions.closing[money.earned_account], positions.closing[money.money_account])
        if amount:
            entries.append(_earned_entry(pk, money, amount, month))
    return entries


def _used(voucher_ids: list[int], month: Month) -> tuple[dict[int, int], dict[int, list[int]]]:
    """The balances of "consumed" and "overrun" at the month's end, and which of these accounts are which voucher's."""
    accounts: dict[int, list[int]] = {}
    rows = Voucher.objects.filter(pk__in=voucher_ids, allocations__isnull=False).values_list(
        "pk", "allocations__consumed_account_id", "allocations__overrun_account_id"
    )
    for pk, consumed, overrun in rows.order_by():
        accounts.setdefault(pk, []).extend([consumed, overrun])
    every = [account for owned in accounts.values() for account in owned]
    return dict(positions_now(every, month.begins_at, month.ends_at).closing), accounts


def _earned_entry(voucher_id: int, money: VoucherMoney, amount: int, month: Month) -> Entry:
    sides = (money.money_account, money.earned_account)
    debit, credit = sides if amount > 0 else sides[::-1]
    return Entry.direct(
        id=uuid5(EARNED_NAMESPACE, f"{voucher_id}/{month}"),
        debit=debit,
        credit=credit,
        amount=abs(amount),
        reason=f"{Account.Kind.EARNED.value} in {month}",
        event_at=month.last_moment,
    )
