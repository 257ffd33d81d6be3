"""Reading vouchers: whose they are, what is left of them, how long it lasts. GPU-seconds and VND.

What takes a person returns only what that person may see: an organisation's managers its own, the centre's people all.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDate
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.clock import centre_date, centre_zone, now
from portal.people.models import Organisation
from portal.people.rules import Person, is_operator, manages, reads_everything
from portal.people.selectors import organisations_managed
from quotas.allocations.models import Allocation, CloseOut, Tranche, Voucher
from quotas.allocations.selectors import allocation_balances
from quotas.ledger.models import Transfer
from quotas.ledger.selectors import balances

RATE_DAYS = 28  # a forecast looks back so far: four whole weeks, so that weekends count as they are


@dataclass(frozen=True, kw_only=True, slots=True)
class VoucherBalance:
    """GPU-seconds. face = released + pending + lost; released + overrun = consumed + held + remaining + expired.

    remaining = unallocated + moving + what allocations have left; `moving` is on its way between two clusters. Money in
    VND, None where the voucher has none.
    """

    face: int
    pending: int
    lost: int
    unallocated: int
    moving: int
    consumed: int
    overrun: int
    held: int
    remaining: int
    expired: int
    money: int | None = None
    earned: int | None = None

    @property
    def released(self) -> int:
        return self.face - self.pending - self.lost

    @property
    def charged(self) -> int:
        """What was used of the voucher: what the centre bore is not the voucher's."""
        return self.consumed - self.overrun


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long the rest lasts at the average of the last days. `until`: None where nothing was used, so no rate."""

    rate_gpu_seconds_a_day: int
    days: int
    until: date | None
    beyond_end: bool  # it would last longer than the voucher: what is left then expires


@dataclass(frozen=True, slots=True)
class VoucherRow:
    voucher: Voucher
    balance: VoucherBalance


# --- for a person -------------------------------------------------------------------------------------------------


def vouchers_visible(person: Person) -> QuerySet[Voucher]:
    """The managed organisations' for a manager, all for operators, approvers and auditors; the latest first."""
    rows = Voucher.objects.select_related("organisation", "programme").order_by("-created_at", "-pk")
    return rows if reads_everything(person) else rows.filter(organisation__in=organisations_managed(person))


def voucher_get(person: Person, number: str) -> Voucher:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(vouchers_visible(person), number=number)


def voucher_get_managed(person: Person, number: str) -> Voucher:
    """For the organisation's own verbs: its managers. Raises Http404 for everybody else."""
    voucher = voucher_get(person, number)
    if not manages(person, voucher.organisation):
        raise Http404
    return voucher


def voucher_get_for_operator(person: Person, number: str) -> Voucher:
    """For the centre's verbs: operators. Raises Http404 for everybody else."""
    if not is_operator(person):
        raise Http404
    return voucher_get(person, number)


def with_voucher_balances(vouchers: Iterable[Voucher]) -> list[VoucherRow]:
    rows = list(vouchers)
    known = voucher_balances(rows)
    return [VoucherRow(row, known[row.pk]) for row in rows]


def results_public() -> QuerySet[CloseOut]:
    """What came of ended vouchers, for everybody, the latest first."""
    closed = CloseOut.objects.filter(state=CloseOut.State.CLOSED).select_related(
        "voucher__organisation", "voucher__programme"
    )
    return closed.prefetch_related("checks").order_by("-closed_at", "-pk")


def result_get(number: str) -> CloseOut:
    return get_object_or_404(results_public(), voucher__number=number)


def vouchers_of(organisation: Organisation, person: Person) -> QuerySet[Voucher]:
    return vouchers_visible(person).filter(organisation=organisation)


# --- balances -----------------------------------------------------------------------------------------------------


def voucher_balances(vouchers: Iterable[Voucher]) -> dict[int, VoucherBalance]:
    """The balances of any number of vouchers in four queries."""
    rows = list(vouchers)
    ids = [row.pk for row in rows]
    own = [pk for row in rows for pk in (row.account_id, row.expired_account_id)]
    money = [pk for row in rows for pk in (row.money_account_id, row.earned_account_id) if pk is not None]
    known = balances(own + money)
    tranches: dict[tuple[int, str], int] = defaultdict(int)
    sums = Tranche.objects.filter(voucher__in=ids).order_by().values_list("voucher", "state")
    for voucher, state, amount in sums.annotate(sum=Sum("amount_gpu_seconds")):
        tranches[voucher, state] = amount
    parts = dict(Allocation.objects.filter(voucher__in=ids).order_by().values_list("pk", "voucher"))
    of_allocations: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for pk, one in allocation_balances(parts).items():
        for name in ("consumed", "overrun", "held", "remaining", "expired"):
            of_allocations[parts[pk]][name] += getattr(one, name)
    found = {}
    for row in rows:
        sum_, purse = of_allocations[row.pk], known[row.account_id]
        found[row.pk] = VoucherBalance(
            face=row.face_gpu_seconds,
            pending=tranches[row.pk, Tranche.State.PENDING],
            lost=tranches[row.pk, Tranche.State.LOST],
            unallocated=purse.free,
            moving=purse.debits_pending,
            consumed=sum_["consumed"],
            overrun=sum_["overrun"],
            held=sum_["held"],
            remaining=purse.posted + sum_["remaining"],
            expired=known[row.expired_account_id].posted + sum_["expired"],
            money=known[row.money_account_id].posted if row.money_account_id else None,
            earned=known[row.earned_account_id].posted if row.earned_account_id else None,
        )
    return found


def used_by_day(voucher: Voucher) -> dict[date, int]:
    """GPU-seconds charged by the centre's calendar day of their event, refunds and overrun taken off."""
    accounts = voucher.allocations.values("consumed_account")
    lent = voucher.allocations.values("overrun_account")
    booked = Transfer.objects.filter(kind__in=[Transfer.Kind.DIRECT, Transfer.Kind.POST]).order_by()
    sums: dict[date, int] = defaultdict(int)
    chosen = [(accounts, "credit", 1), (accounts, "debit", -1), (lent, "debit", -1), (lent, "credit", 1)]
    for which, side, sign in chosen:
        rows = booked.filter(**{f"{side}__in": which}).annotate(day=TruncDate("event_at", tzinfo=centre_zone()))
        for day, amount in rows.values_list("day").annotate(sum=Sum("amount")):
            sums[day] += sign * amount
    return {day: amount for day, amount in sorted(sums.items()) if amount}


def voucher_forecast(
    voucher: Voucher, *, balance: VoucherBalance | None = None, used: dict[date, int] | None = None
) -> Forecast:
    """How long what remains (held included, it may come back) lasts at the average of the last four weeks.

    A younger voucher is averaged over the days since it began.
    """
    today = centre_date(now())
    balance = balance or voucher_balances([voucher])[voucher.pk]
    used = used_by_day(voucher) if used is None else used
    first = max(voucher.starts_on, today - timedelta(days=RATE_DAYS - 1))
    days = max(1, (today - first).days + 1)
    recent = sum(amount for day, amount in used.items() if first <= day <= today)
    rate = max(recent, 0) // days
    if not rate:
        return Forecast(0, days, None, False)
    left = (balance.remaining + balance.held) // rate
    until = today + timedelta(days=min(left, 36_500))
    return Forecast(rate, days, until, until > voucher.ends_on)
