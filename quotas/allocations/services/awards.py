"""From a programme's pool and budget to a voucher to an allocation."""

import secrets
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from uuid import uuid4

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import Organisation, Project
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import (
    AwardTooLarge,
    BalanceTooSmall,
    CloseOutOpen,
    GPUTypeUnknown,
    MoneyTooSmall,
    PoolTooSmall,
    ProjectOfAnotherOrganisation,
    QuotaError,
    TooManyVouchers,
    VoucherEnded,
)
from quotas.allocations.models import Allocation, CloseOut, Commitment, Voucher, VoucherNumber
from quotas.allocations.services.locks import account_lock
from quotas.allocations.services.money import Price, award_money_entries, money_fields, price_of
from quotas.allocations.services.prices import home_cluster, price_check
from quotas.allocations.services.tranches import TranchePlan, tranche_entries, tranche_release, tranches_create
from quotas.ledger.errors import InsufficientBalance
from quotas.ledger.models import Account
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, transfers_book
from quotas.programmes.models import Programme, ProgrammePool
from quotas.programmes.selectors import budget_of, pool_free_gpu_seconds
from quotas.units import SECONDS_PER_HOUR, gpu_hours_text, ledger_unit, vnd_text


def voucher_award(
    *,
    organisation: Organisation,
    project: Project,
    programme: Programme,
    gpu_type: str,
    amount_gpu_seconds: int,
    cluster: str,
    starts_on: date,
    ends_on: date,
    actor: Actor,
    imported: bool = False,
    tranches: Sequence[int | TranchePlan] = (),
    commitments: Sequence[str] = tuple(Commitment.values),
    changed_from: Voucher | None = None,
) -> Allocation:
    """Awards a voucher and gives all of it to one project on one cluster: pool → voucher → allocation, in one batch.

    Where the programme has a budget in VND, the voucher gets its money in the same batch: at today's tariff, the
    state's share from the budget, the rest from the organisation's contribution.

    `tranches` (amounts that add up to the whole) keeps a pace: each leaves the free balances now, as holds, and
    reaches the allocation when it is released; one that is due today at once. `imported` is for history: the programme
    is funded with exactly this amount (more comes with `imported_grant`), and the allocation is born closed.
    `changed_from` is the voucher of which this one is a part in another GPU type: no award of its own by the rules.

    Raises PoolTooSmall, MoneyTooSmall, GPUTypeUnknown, ProjectOfAnotherOrganisation, NotEligible, AwardTooLarge,
    TooManyVouchers, CloseOutOpen; TariffMissing of programmes.
    """
    if project.organisation_id != organisation.pk:
        raise ProjectOfAnotherOrganisation
    if programme.imported != imported:
        raise ValueError("Imported history, and nothing else, is granted from the imported programme.")
    plans = [plan if isinstance(plan, TranchePlan) else TranchePlan(plan) for plan in tranches]
    if plans and sum(plan.amount_gpu_seconds for plan in plans) != amount_gpu_seconds:
        raise ValueError("The tranches do not add up to the award.")
    price = price_of(programme, organisation, gpu_type, centre_date(now()), cluster)
    with transaction.atomic(), acting(actor, "voucher_award"):
        if not imported and changed_from is None:
            award_check(programme, organisation, amount_gpu_seconds, price)
        pool = _pool(programme, gpu_type)
        voucher = Voucher.objects.create(
            number=_number(),
            organisation=organisation,
            programme=programme,
            gpu_type=gpu_type,
            face_gpu_seconds=amount_gpu_seconds,
            starts_on=starts_on,
            ends_on=ends_on,
            account=_account(gpu_type, Account.Kind.VOUCHER, f"voucher of {organisation.slug}"),
            expired_account=_account(gpu_type, Account.Kind.EXPIRED, f"voucher of {organisation.slug}"),
            imported=imported,
            **_clawback(programme),
            commitments=list(commitments),
            changed_from=changed_from,
            created_at=now(),
            **money_fields(price, amount_gpu_seconds, f"voucher of {organisation.slug}"),
        )
        allocation = allocation_open(voucher, project, cluster, starts_on, ends_on)
        rows = tranches_create(voucher, plans, price)
        entries = tranche_entries(pool, rows) if rows else _award_entries(pool, voucher, allocation)
        try:
            transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor))
        except InsufficientBalance as error:
            raise _too_small(error, pool, voucher) from error
        for row in rows:
            if row.release_on is not None and row.release_on <= centre_date(now()):
                tranche_release(tranche_id=row.pk, allocation=allocation, actor=actor)
    return allocation


def award_check(programme: Programme, organisation: Organisation, amount_gpu_seconds: int, price: Price | None) -> None:
    """The programme's rules for one award. Raises AwardTooLarge, TooManyVouchers, CloseOutOpen."""
    open_ = CloseOut.objects.filter(voucher__organisation=organisation).exclude(state=CloseOut.State.CLOSED)
    if (first := open_.select_related("voucher").order_by("opened_at").first()) is not None:
        raise CloseOutOpen(first.voucher.number)
    hours, vnd = programme.largest_award_gpu_hours, programme.largest_award_vnd
    if hours is not None and amount_gpu_seconds > hours * SECONDS_PER_HOUR:
        largest, wanted = gpu_hours_text(hours * SECONDS_PER_HOUR), gpu_hours_text(amount_gpu_seconds, up=True)
        unit = _("%(hours)s GPU-hours")
        raise AwardTooLarge(largest=unit % {"hours": largest}, wanted=unit % {"hours": wanted})
    if vnd is not None and price is not None and price.vnd(amount_gpu_seconds) > vnd:
        raise AwardTooLarge(largest=f"{vnd_text(vnd)} VND", wanted=f"{vnd_text(price.vnd(amount_gpu_seconds))} VND")
    limit = programme.open_vouchers_limit
    if limit is not None:
        # Two awards at once queue here, so that the second counts the first.
        Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)
        today = centre_date(now())
        if Voucher.objects.filter(programme=programme, organisation=organisation, ends_on__gte=today).count() >= limit:
            raise TooManyVouchers(limit)


def _clawback(programme: Programme) -> dict[str, object]:
    """The programme's clawback for a voucher of today; none where its day has come: nobody had time to spend this."""
    if programme.clawback_on is None or programme.clawback_on <= centre_date(now()):
        return {}
    return {"clawback_on": programme.clawback_on, "clawback_basis_points": programme.clawback_basis_points}


def award_check_today(
    *, organisation: Organisation, programme: Programme, gpu_type: str, amount_gpu_seconds: int, cluster: str
) -> None:
    """What an award made today would be refused for; for a proposal, before others look at it. The ledger decides at
    the award. In a transaction. Raises what `voucher_award` raises."""
    price = price_of(programme, organisation, gpu_type, centre_date(now()), cluster)
    award_check(programme, organisation, amount_gpu_seconds, price)
    award_check_room(programme=programme, gpu_type=gpu_type, amount_gpu_seconds=amount_gpu_seconds)
    if price is not None:
        free_vnd, needed_vnd = budget_of(programme).free_vnd, price.shares(amount_gpu_seconds)[0]
        if needed_vnd > free_vnd:
            raise MoneyTooSmall(programme=programme.name, free_vnd=free_vnd, needed_vnd=needed_vnd)


def award_check_room(*, programme: Programme, gpu_type: str, amount_gpu_seconds: int) -> None:
    """Whether the programme has so many GPU-seconds free now. Raises PoolTooSmall, GPUTypeUnknown."""
    free = pool_free_gpu_seconds(_pool(programme, gpu_type))
    if amount_gpu_seconds > free:
        raise PoolTooSmall(
            programme=programme.name,
            gpu_type=gpu_type,
            free_gpu_seconds=free,
            needed_gpu_seconds=amount_gpu_seconds,
        )


def _number() -> str:
    """The next number of the centre's year. Others who award now wait for this transaction: no number is left out."""
    year = centre_date(now()).year
    VoucherNumber.objects.bulk_create([VoucherNumber(year=year)], ignore_conflicts=True)
    row = VoucherNumber.objects.select_for_update().get(year=year)
    row.last += 1
    row.save(update_fields=["last"])
    return f"PHT-{year}-{row.last:05d}"


def _too_small(error: InsufficientBalance, pool: ProgrammePool, voucher: Voucher) -> QuotaError:
    programme = voucher.programme.name
    if error.account_id == pool.account_id:
        return PoolTooSmall(
            programme=programme,
            gpu_type=pool.gpu_type,
            free_gpu_seconds=pool_free_gpu_seconds(pool),
            needed_gpu_seconds=voucher.face_gpu_seconds,
        )
    free_vnd = balances([error.account_id])[error.account_id].free
    return MoneyTooSmall(programme=programme, free_vnd=free_vnd, needed_vnd=voucher.state_share_vnd or 0)


def _award_entries(pool: ProgrammePool, voucher: Voucher, allocation: Allocation) -> list[Entry]:
    moment, amount = now(), voucher.face_gpu_seconds
    if not amount:
        return []  # history is granted as it arrives
    entries = [
        _direct(pool.account_id, voucher.account_id, amount, f"award of voucher {voucher.pk}", moment),
        _direct(voucher.account_id, allocation.account_id, amount, f"allocation {allocation.pk}", moment),
    ]
    if voucher.imported:
        funding = _direct(pool.source_account_id, pool.account_id, amount, "imported history", moment)
        entries.insert(0, funding)
    return entries + award_money_entries(
        voucher,
        state_vnd=voucher.state_share_vnd or 0,
        own_vnd=voucher.own_share_vnd or 0,
        reason=f"award of voucher {voucher.pk}",
        at=moment,
    )


def allocation_create(
    *,
    voucher: Voucher,
    project: Project,
    cluster: str,
    amount_gpu_seconds: int,
    starts_on: date,
    ends_on: date,
    actor: Actor,
) -> Allocation:
    """Gives a part of what a voucher still holds to a project. Raises BalanceTooSmall, ProjectOfAnotherOrganisation,
    VoucherEnded, ClusterClosed, TariffsDiffer."""
    if project.organisation_id != voucher.organisation_id:
        raise ProjectOfAnotherOrganisation
    if voucher.ends_on < centre_date(now()):
        raise VoucherEnded(voucher.ends_on)
    price_check(voucher, home_cluster(voucher), cluster)
    with transaction.atomic():
        allocation = allocation_open(voucher, project, cluster, starts_on, ends_on)
        _allocate(voucher, allocation, amount_gpu_seconds, actor)
    return allocation


def imported_grant(*, allocation: Allocation, amount_gpu_seconds: int, actor: Actor) -> None:
    """Grants more to an imported allocation, as more of its history arrives: source → pool → voucher → allocation."""
    if not allocation.imported:
        raise ValueError("Only imported history is granted without a decision.")
    voucher = allocation.voucher
    pool = _pool(voucher.programme, allocation.gpu_type)
    why, moment = f"imported history of allocation {allocation.pk}", now()
    steps = [pool.source_account_id, pool.account_id, voucher.account_id, allocation.account_id]
    entries = [_direct(debit, credit, amount_gpu_seconds, why, moment) for debit, credit in pairwise(steps)]
    with transaction.atomic():
        Voucher.objects.filter(pk=voucher.pk).update(face_gpu_seconds=F("face_gpu_seconds") + amount_gpu_seconds)
        transfers_book(entries=entries, booked_at=moment, actor=actor_key(actor))


def _pool(programme: Programme, gpu_type: str) -> ProgrammePool:
    pool = ProgrammePool.objects.filter(programme=programme, gpu_type=gpu_type).first()
    if pool is None:
        raise GPUTypeUnknown(gpu_type)
    return pool


def allocation_open(voucher: Voucher, project: Project, cluster: str, starts_on: date, ends_on: date) -> Allocation:
    """An allocation with nothing in it yet, in the caller's transaction."""
    owner, gpu_type = f"allocation of {project.slug}", voucher.gpu_type
    # Made in this order, the allocation's own account has the lowest number: it is the first lock of every batch.
    kinds = (Account.Kind.ALLOCATION, Account.Kind.CONSUMED, Account.Kind.EXPIRED, Account.Kind.OVERRUN)
    accounts = [_account(gpu_type, kind, owner, may_overdraw=kind == Account.Kind.OVERRUN) for kind in kinds]
    return Allocation.objects.create(
        voucher=voucher,
        project=project,
        cluster=cluster,
        gpu_type=gpu_type,
        # Slurm shows every QOS to everybody: the name says of which GPU type it is, and nothing of whose.
        qos=f"{gpu_type}-{secrets.token_hex(6)}",
        state=Allocation.State.CLOSED if voucher.imported else Allocation.State.ACTIVE,
        starts_on=starts_on,
        ends_on=ends_on,
        account=accounts[0],
        consumed_account=accounts[1],
        expired_account=accounts[2],
        overrun_account=accounts[3],
        imported=voucher.imported,
        created_at=now(),
    )


def _allocate(voucher: Voucher, allocation: Allocation, amount_gpu_seconds: int, actor: Actor) -> None:
    why = f"allocation {allocation.pk}"
    entry = _direct(voucher.account_id, allocation.account_id, amount_gpu_seconds, why, now())
    try:
        transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor))
    except InsufficientBalance as error:
        free = account_lock(voucher.account_id).free
        raise BalanceTooSmall(free_gpu_seconds=free, needed_gpu_seconds=amount_gpu_seconds) from error


def _account(gpu_type: str, kind: str, owner: str, *, may_overdraw: bool = False) -> Account:
    return account_create(unit=ledger_unit(gpu_type), kind=kind, owner=owner, may_overdraw=may_overdraw)


def _direct(debit: int, credit: int, amount: int, reason: str, event_at: datetime) -> Entry:
    return Entry.direct(id=uuid4(), debit=debit, credit=credit, amount=amount, reason=reason, event_at=event_at)
