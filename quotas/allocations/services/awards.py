"""From a programme's pool to a voucher to an allocation, and back into "expired" what was never used."""

import secrets
from collections.abc import Sequence
from datetime import date, datetime
from itertools import pairwise
from uuid import uuid4

from django.db import transaction
from django.db.models import F

from portal.clock import centre_date, now
from portal.people.models import Organisation, Project
from quotas.actors import Actor, actor_key
from quotas.allocations.errors import (
    BalanceTooSmall,
    GPUTypeUnknown,
    PoolTooSmall,
    ProjectOfAnotherOrganisation,
    WrongState,
)
from quotas.allocations.models import Allocation, Tranche, Voucher
from quotas.allocations.services.locks import account_lock
from quotas.ledger.errors import InsufficientBalance
from quotas.ledger.models import Account
from quotas.ledger.services import Entry, account_create, transfers_book
from quotas.programmes.models import Programme, ProgrammePool
from quotas.programmes.selectors import pool_free_gpu_seconds
from quotas.units import ledger_unit


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
    tranches: Sequence[int] = (),
) -> Allocation:
    """Awards a voucher and gives all of it to one project on one cluster: pool → voucher → allocation, in one batch.

    `tranches` (amounts that add up to the whole) keeps the money's pace: each leaves the pool's free balance now, as
    a hold, and reaches the allocation when it is released. `imported` is for history: the programme is funded with
    exactly this amount (more comes with `imported_grant`), and the allocation is born closed.

    Raises PoolTooSmall, GPUTypeUnknown, ProjectOfAnotherOrganisation.
    """
    if project.organisation_id != organisation.pk:
        raise ProjectOfAnotherOrganisation
    if programme.imported != imported:
        raise ValueError("Imported history, and nothing else, is granted from the imported programme.")
    if tranches and sum(tranches) != amount_gpu_seconds:
        raise ValueError("The tranches do not add up to the award.")
    with transaction.atomic():
        pool = _pool(programme, gpu_type)
        voucher = Voucher.objects.create(
            organisation=organisation,
            programme=programme,
            gpu_type=gpu_type,
            face_gpu_seconds=amount_gpu_seconds,
            starts_on=starts_on,
            ends_on=ends_on,
            account=_account(gpu_type, Account.Kind.VOUCHER, f"voucher of {organisation.slug}"),
            expired_account=_account(gpu_type, Account.Kind.EXPIRED, f"voucher of {organisation.slug}"),
            imported=imported,
            created_at=now(),
        )
        allocation = _allocation(voucher, project, cluster, starts_on, ends_on)
        entries = _award_entries(pool, voucher, allocation, tranches)
        try:
            transfers_book(entries=entries, booked_at=now(), actor=actor_key(actor))
        except InsufficientBalance as error:
            raise PoolTooSmall(
                programme=programme.name,
                gpu_type=gpu_type,
                free_gpu_seconds=pool_free_gpu_seconds(pool),
                needed_gpu_seconds=amount_gpu_seconds,
            ) from error
    return allocation


def _award_entries(
    pool: ProgrammePool, voucher: Voucher, allocation: Allocation, tranches: Sequence[int]
) -> list[Entry]:
    moment, amount = now(), voucher.face_gpu_seconds
    if tranches:
        rows = Tranche.objects.bulk_create(
            Tranche(voucher=voucher, number=number, amount_gpu_seconds=part, hold=uuid4())
            for number, part in enumerate(tranches, start=1)
        )
        return [
            Entry.hold(
                id=row.hold,
                debit=pool.account_id,
                credit=voucher.account_id,
                amount=row.amount_gpu_seconds,
                reason=f"tranche {row.number} of voucher {voucher.pk}",
                event_at=moment,
            )
            for row in rows
        ]
    if not amount:
        return []  # history is granted as it arrives
    entries = [
        _direct(pool.account_id, voucher.account_id, amount, f"award of voucher {voucher.pk}", moment),
        _direct(voucher.account_id, allocation.account_id, amount, f"allocation {allocation.pk}", moment),
    ]
    if voucher.imported:
        funding = _direct(pool.source_account_id, pool.account_id, amount, "imported history", moment)
        entries.insert(0, funding)
    return entries


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
    """Gives a part of what a voucher still holds to a project. Raises BalanceTooSmall, ProjectOfAnotherOrganisation."""
    if project.organisation_id != voucher.organisation_id:
        raise ProjectOfAnotherOrganisation
    with transaction.atomic():
        allocation = _allocation(voucher, project, cluster, starts_on, ends_on)
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


def tranche_release(*, tranche_id: int, allocation: Allocation, actor: Actor) -> None:
    """Releases a tranche to its voucher and on to one of the voucher's allocations. Raises WrongState if not
    pending."""
    if allocation.voucher_id != Tranche.objects.get(pk=tranche_id).voucher_id:
        raise ValueError("The allocation belongs to another voucher.")
    with transaction.atomic():
        tranche = _tranche_take(tranche_id, Tranche.State.RELEASED)
        moment, amount = now(), tranche.amount_gpu_seconds
        why = f"release of tranche {tranche.number} of voucher {tranche.voucher_id}"
        post = Entry.post(id=uuid4(), resolves=tranche.hold, amount=amount, reason=why, event_at=moment)
        onward = _direct(tranche.voucher.account_id, allocation.account_id, amount, why, moment)
        transfers_book(entries=[post, onward], booked_at=moment, actor=actor_key(actor))


def tranche_lose(*, tranche_id: int, reason: str, actor: Actor) -> None:
    """Gives a tranche back to the programme's pool. Raises WrongState if it is not pending."""
    with transaction.atomic():
        tranche = _tranche_take(tranche_id, Tranche.State.LOST)
        void = Entry.void(id=uuid4(), resolves=tranche.hold, reason=reason, event_at=now())
        transfers_book(entries=[void], booked_at=now(), actor=actor_key(actor))


def voucher_expire(*, voucher_id: int, actor: Actor) -> int:
    """Moves what an ended voucher never allocated to its expired account; returns how much. Again: what came back
    since."""
    with transaction.atomic():
        voucher = Voucher.objects.get(pk=voucher_id)
        if voucher.ends_on >= centre_date(now()):
            raise WrongState("active")
        free = account_lock(voucher.account_id).free
        if free > 0:
            entry = _direct(voucher.account_id, voucher.expired_account_id, free, f"end of voucher {voucher.pk}", now())
            transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor))
    return free


def _tranche_take(tranche_id: int, state: str) -> Tranche:
    # Compare and set: of two operators who decide at once, the second is told.
    if not Tranche.objects.filter(pk=tranche_id, state=Tranche.State.PENDING).update(state=state):
        raise WrongState(Tranche.objects.get(pk=tranche_id).state)
    return Tranche.objects.select_related("voucher").get(pk=tranche_id)


def _pool(programme: Programme, gpu_type: str) -> ProgrammePool:
    pool = ProgrammePool.objects.filter(programme=programme, gpu_type=gpu_type).first()
    if pool is None:
        raise GPUTypeUnknown(gpu_type)
    return pool


def _allocation(voucher: Voucher, project: Project, cluster: str, starts_on: date, ends_on: date) -> Allocation:
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
