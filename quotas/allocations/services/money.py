"""A voucher's money, booked in the same batches as its GPU-seconds.

What lies in a voucher's money is always the worth of the GPU-seconds that lie in it, at the tariff of its award: a
release brings the one with the other, and what expires, is clawed back or is returned gives the state's part back to
the budget and the own part to the contribution. Rounded from the totals, never by transfer, so the parts add up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid4, uuid5

from django.db.models import F, Sum

from portal.people.models import Organisation
from quotas.allocations.errors import NotEligible
from quotas.allocations.models import Allocation, Tranche, Voucher
from quotas.ledger.models import Account
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, accounts_lock
from quotas.money import shares_split, steps_vnd, vnd_of
from quotas.programmes.models import Programme, ProgrammeBudget
from quotas.programmes.selectors import tariff_on
from quotas.programmes.terms import approvals_needed, share_of
from quotas.units import VND


@dataclass(frozen=True)
class Price:
    """What an award costs and who pays: a tariff, and the state's share in basis points."""

    tariff_vnd_per_gpu_hour: int
    state_basis_points: int

    def vnd(self, gpu_seconds: int) -> int:
        return vnd_of(gpu_seconds, self.tariff_vnd_per_gpu_hour)

    def shares(self, gpu_seconds: int) -> tuple[int, int]:
        """(state, own) of what GPU-seconds are worth."""
        return shares_split(self.vnd(gpu_seconds), self.state_basis_points)


def price_of(
    programme: Programme, organisation: Organisation, gpu_type: str, day: date, cluster: str = ""
) -> Price | None:
    """What a day's award on a cluster is charged at; None where the programme never had a budget in VND and awards
    GPU-hours alone.

    Raises NotEligible (the programme has no share for this kind of organisation), TariffMissing.
    """
    funded = ProgrammeBudget.objects.filter(programme=programme, account__credits_posted__gt=0)
    if programme.imported or not funded.exists():
        return None
    share = share_of(programme, organisation.kind)
    if share is None:
        raise NotEligible(organisation.get_kind_display())
    return Price(tariff_on(gpu_type, day, cluster).vnd_per_gpu_hour, share)


def price_of_voucher(voucher: Voucher) -> Price:
    """Of a voucher with money."""
    assert voucher.tariff_vnd_per_gpu_hour is not None
    assert voucher.state_basis_points is not None
    return Price(voucher.tariff_vnd_per_gpu_hour, voucher.state_basis_points)


def approvals_of(voucher: Voucher, gpu_seconds: int) -> int:
    """How many people beside the proposer decide on a part of a voucher, by its worth."""
    worth_vnd = price_of_voucher(voucher).vnd(gpu_seconds) if voucher.has_money else 0
    return approvals_needed(voucher.programme, worth_vnd)


def money_fields(price: Price | None, amount_gpu_seconds: int, owner: str) -> dict[str, object]:
    """The money's part of a new voucher's row, with its three accounts."""
    if price is None:
        return {}
    state, own = price.shares(amount_gpu_seconds)

    def account(kind: str, *, may_overdraw: bool = False) -> Account:
        return account_create(unit=VND, kind=kind, owner=owner, may_overdraw=may_overdraw)

    return {
        "tariff_vnd_per_gpu_hour": price.tariff_vnd_per_gpu_hour,
        "state_basis_points": price.state_basis_points,
        "face_vnd": state + own,
        "state_share_vnd": state,
        "own_share_vnd": own,
        "money_account": account(Account.Kind.VOUCHER_MONEY),
        "earned_account": account(Account.Kind.EARNED),
        "contribution_account": account(Account.Kind.CONTRIBUTION, may_overdraw=True),
    }


def award_money_entries(voucher: Voucher, *, state_vnd: int, own_vnd: int, reason: str, at: datetime) -> list[Entry]:
    """Budget → voucher money and contribution → voucher money; nothing where there is no money."""
    if not voucher.has_money:
        return []
    pairs = [(budget_account_id(voucher), state_vnd), (_contribution(voucher), own_vnd)]
    return [
        Entry.direct(id=uuid4(), debit=debit, credit=_money(voucher), amount=amount, reason=reason, event_at=at)
        for debit, amount in pairs
        if amount
    ]


# --- tranches -------------------------------------------------------------------------------------------------------


def tranche_shares(price: Price | None, parts_gpu_seconds: list[int]) -> list[tuple[int, int]]:
    """(state, own) of each tranche; together the shares of the whole, to the VND."""
    if price is None:
        return [(0, 0)] * len(parts_gpu_seconds)
    worths = steps_vnd(parts_gpu_seconds, price.tariff_vnd_per_gpu_hour)
    shares, total, state_before = [], 0, 0
    for worth in worths:
        total += worth
        state = shares_split(total, price.state_basis_points)[0]
        shares.append((state - state_before, worth - (state - state_before)))
        state_before = state
    return shares


def tranche_hold_entries(tranche: Tranche, *, reason: str, at: datetime) -> list[Entry]:
    """The holds of a pending tranche's money."""
    voucher = tranche.voucher
    sources = {"state": budget_account_id(voucher), "own": _contribution(voucher)} if voucher.has_money else {}
    return [
        Entry.hold(
            id=uuid5(tranche.hold, part),
            debit=sources[part],
            credit=_money(voucher),
            amount=amount,
            reason=reason,
            event_at=at,
        )
        for part, amount in _parts(tranche)
    ]


def tranche_release_entries(tranche: Tranche, *, reason: str, at: datetime) -> list[Entry]:
    return [
        Entry.post(id=uuid4(), resolves=uuid5(tranche.hold, part), amount=amount, reason=reason, event_at=at)
        for part, amount in _parts(tranche)
    ]


def tranche_void_entries(tranche: Tranche, *, reason: str, at: datetime) -> list[Entry]:
    return [
        Entry.void(id=uuid4(), resolves=uuid5(tranche.hold, part), reason=reason, event_at=at)
        for part, _amount in _parts(tranche)
    ]


def _parts(tranche: Tranche) -> list[tuple[str, int]]:
    return [(part, amount) for part, amount in (("state", tranche.state_vnd), ("own", tranche.own_vnd)) if amount]


# --- what is not spent ----------------------------------------------------------------------------------------------


def money_lock(voucher: Voucher, *, account_ids: Iterable[int] = ()) -> None:
    """Locks a voucher's accounts, its money's among them, and others: before GPU-seconds leave it for good."""
    ids = {voucher.account_id, voucher.expired_account_id, *account_ids}
    if voucher.has_money:
        ids |= {budget_account_id(voucher), _money(voucher), _contribution(voucher)}
    accounts_lock(account_ids=ids)


def unspent_back_entries(
    voucher: Voucher, *, leaving_gpu_seconds: int, batch: UUID, reason: str, at: datetime
) -> list[Entry]:
    """The money that leaves with GPU-seconds which expire, are clawed back or returned, under `money_lock`.

    What stays is the worth of what stays, never more than came in: where tranches were released in another order than
    planned, a VND of rounding goes back with the next that leaves.
    """
    if not voucher.has_money or voucher.earned_account_id is None:
        return []
    money, contribution = _money(voucher), _contribution(voucher)
    now_in = balances([money, contribution, voucher.earned_account_id])
    state_stays, own_stays = price_of_voucher(voucher).shares(kept_gpu_seconds(voucher) - leaving_gpu_seconds)
    brought = now_in[money].posted + now_in[voucher.earned_account_id].posted
    back = min(max(brought - state_stays - own_stays, 0), now_in[money].free)
    own_back = min(max(-now_in[contribution].posted - own_stays, 0), back)
    targets = ((budget_account_id(voucher), back - own_back, "state"), (contribution, own_back, "own"))
    return [
        Entry.direct(
            id=uuid5(batch, f"money/{part}"), debit=money, credit=credit, amount=amount, reason=reason, event_at=at
        )
        for credit, amount, part in targets
        if amount
    ]


def kept_gpu_seconds(voucher: Voucher) -> int:
    """What was released and has not expired, was not clawed back or returned: spent, held or still to be spent."""
    pending = voucher.tranches.exclude(state=Tranche.State.RELEASED).aggregate(sum=Sum("amount_gpu_seconds"))["sum"]
    net = F("expired_account__credits_posted") - F("expired_account__debits_posted")
    gone = Allocation.objects.filter(voucher=voucher).order_by().aggregate(sum=Sum(net))["sum"] or 0
    gone += balances([voucher.expired_account_id])[voucher.expired_account_id].posted
    return voucher.face_gpu_seconds - (pending or 0) - gone


def budget_account_id(voucher: Voucher) -> int:
    return ProgrammeBudget.objects.values_list("account_id", flat=True).get(programme=voucher.programme_id)


def _money(voucher: Voucher) -> int:
    assert voucher.money_account_id is not None
    return voucher.money_account_id


def _contribution(voucher: Voucher) -> int:
    assert voucher.contribution_account_id is not None
    return voucher.contribution_account_id
