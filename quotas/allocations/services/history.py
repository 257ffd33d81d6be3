"""History that a centre brings from before: granted by exactly what it used, set-based, because it comes by the
million."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F

from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.services.charges import Charge
from quotas.ledger.errors import IdempotencyConflict
from quotas.ledger.models import Transfer
from quotas.ledger.services import Entry, accounts_lock, transfers_book, transfers_import
from quotas.programmes.models import ProgrammePool

LOOK_UP = 5_000  # ids in one query


def imported_charges_book(*, charges: Sequence[Charge], actor: Actor) -> dict[int, int]:
    """Grants imported allocations what these charges used, and charges it; returns the newly charged GPU-seconds of
    each.

    A charge that is booked already is left out, so bringing the same history twice charges nothing the second time.
    Raises IdempotencyConflict where a charge is booked with another amount.
    """
    allocations = {
        row.pk: row
        for row in Allocation.objects.filter(pk__in={charge.allocation_id for charge in charges}).select_related(
            "voucher"
        )
    }
    if not all(row.imported for row in allocations.values()):
        raise ValueError("Only imported history is granted without a decision.")
    with transaction.atomic():
        pools = _pools(allocations.values())
        accounts_lock(account_ids=_accounts(allocations.values(), pools))
        fresh = _fresh(charges)
        used: dict[int, int] = defaultdict(int)
        for charge in fresh:
            used[charge.allocation_id] += charge.gpu_seconds
        _grant(used, allocations, pools, actor)
        transfers_import(rows=_entries(fresh, allocations), booked_at=now(), actor=actor_key(actor))
    return dict(used)


def _fresh(charges: Iterable[Charge]) -> list[Charge]:
    unique = iter({charge.charge_id: charge for charge in charges if charge.gpu_seconds > 0}.values())
    fresh: list[Charge] = []
    while some := list(islice(unique, LOOK_UP)):
        ids = [charge.charge_id for charge in some]
        known = dict(Transfer.objects.filter(pk__in=ids).values_list("pk", "amount"))
        for charge in some:
            amount = known.get(charge.charge_id)
            if amount is None:
                fresh.append(charge)
            elif amount != charge.gpu_seconds:
                raise IdempotencyConflict(f"charge {charge.charge_id} is booked with {amount} GPU-seconds")
    return fresh


def _pools(allocations: Iterable[Allocation]) -> dict[tuple[int, str], ProgrammePool]:
    programmes = {row.voucher.programme_id for row in allocations}
    rows = ProgrammePool.objects.filter(programme__in=programmes)
    return {(pool.programme_id, pool.gpu_type): pool for pool in rows}


def _accounts(allocations: Iterable[Allocation], pools: dict[tuple[int, str], ProgrammePool]) -> set[int]:
    ids = {id for pool in pools.values() for id in (pool.account_id, pool.source_account_id)}
    for row in allocations:
        ids |= {row.voucher.account_id, row.account_id, row.consumed_account_id}
    return ids


def _grant(
    used: dict[int, int],
    allocations: dict[int, Allocation],
    pools: dict[tuple[int, str], ProgrammePool],
    actor: Actor,
) -> None:
    batch, moment, entries = uuid4(), now(), []
    for pk, amount in used.items():
        allocation = allocations[pk]
        voucher = allocation.voucher
        pool = pools[voucher.programme_id, allocation.gpu_type]
        steps = [pool.source_account_id, pool.account_id, voucher.account_id, allocation.account_id]
        for debit, credit in pairwise(steps):
            entry = Entry.direct(
                id=uuid4(), debit=debit, credit=credit, amount=amount, reason="imported history", event_at=moment
            )
            entries.append(entry)
        Voucher.objects.filter(pk=voucher.pk).update(face_gpu_seconds=F("face_gpu_seconds") + amount)
    transfers_book(entries=entries, booked_at=moment, actor=actor_key(actor), batch=batch)


def _entries(charges: Iterable[Charge], allocations: dict[int, Allocation]) -> Iterator[Entry]:
    accounts: dict[int, tuple[int, int]] = {
        pk: (row.account_id, row.consumed_account_id) for pk, row in allocations.items()
    }
    for charge in charges:
        debit, credit = accounts[charge.allocation_id]
        id: UUID = charge.charge_id
        yield Entry.direct(
            id=id,
            debit=debit,
            credit=credit,
            amount=charge.gpu_seconds,
            reason=charge.reason,
            event_at=charge.event_at,
        )
