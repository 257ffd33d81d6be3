"""Programmes and their budgets. A budget is funded from a source account, which alone may go below zero."""

import re
from collections.abc import Mapping
from datetime import date
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from portal.clock import now
from quotas.actors import Actor, actor_key
from quotas.ledger.models import Account, Transfer
from quotas.ledger.services import Entry, account_create, transfers_book
from quotas.programmes.errors import BudgetInvalid, ProgrammeExists
from quotas.programmes.models import Programme, ProgrammePool
from quotas.units import ledger_unit

GPU_TYPE_FORM = r"[a-z0-9][a-z0-9._-]{0,31}"  # a Slurm GRES type in lower case


def programme_create(
    *,
    name: str,
    slug: str,
    starts_on: date,
    ends_on: date,
    budgets: Mapping[str, int],
    actor: Actor,
    imported: bool = False,
) -> Programme:
    """Makes a programme with a budget in GPU-seconds per GPU type. Raises ProgrammeExists, BudgetInvalid."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                programme = Programme.objects.create(
                    name=name, slug=slug, starts_on=starts_on, ends_on=ends_on, imported=imported, created_at=now()
                )
        except IntegrityError as error:
            if Programme.objects.filter(name=name).exists() or Programme.objects.filter(slug=slug).exists():
                raise ProgrammeExists from error
            raise
        for gpu_type, amount_gpu_seconds in budgets.items():
            programme_fund(programme=programme, gpu_type=gpu_type, amount_gpu_seconds=amount_gpu_seconds, actor=actor)
    return programme


def programme_fund(
    *,
    programme: Programme,
    gpu_type: str,
    amount_gpu_seconds: int,
    actor: Actor,
    funding_id: UUID | None = None,
    reason: str = "budget",
) -> ProgrammePool:
    """Adds GPU-seconds to a programme's budget of one GPU type. The same `funding_id` twice adds once.

    Raises BudgetInvalid; IdempotencyConflict where the id is used for something else.
    """
    if not re.fullmatch(GPU_TYPE_FORM, gpu_type) or amount_gpu_seconds <= 0:
        raise BudgetInvalid
    with transaction.atomic():
        pool = pool_ensure(programme=programme, gpu_type=gpu_type)
        known = Transfer.objects.filter(pk=funding_id).first() if funding_id else None
        if known is not None and (known.credit_id, known.amount) == (pool.account_id, amount_gpu_seconds):
            return pool
        entry = Entry.direct(
            id=funding_id or uuid4(),
            debit=pool.source_account_id,
            credit=pool.account_id,
            amount=amount_gpu_seconds,
            reason=reason,
            event_at=now(),
        )
        transfers_book(entries=[entry], booked_at=now(), actor=actor_key(actor))
    return pool


def pool_ensure(*, programme: Programme, gpu_type: str) -> ProgrammePool:
    """The programme's pool of a GPU type, made empty where it is missing."""
    with transaction.atomic():
        # Two who fund a new type at once: the second waits here and finds the first one's pool.
        Programme.objects.select_for_update(no_key=True).get(pk=programme.pk)
        pool = ProgrammePool.objects.filter(programme=programme, gpu_type=gpu_type).first()
        if pool is None:
            owner, unit = f"programme {programme.slug}", ledger_unit(gpu_type)
            source = account_create(unit=unit, kind=Account.Kind.SOURCE, owner=owner, may_overdraw=True)
            account = account_create(unit=unit, kind=Account.Kind.POOL, owner=owner)
            pool = ProgrammePool.objects.create(
                programme=programme, gpu_type=gpu_type, account=account, source_account=source
            )
    return pool


def imported_programme_ensure(*, gpu_types: list[str], actor: Actor) -> Programme:
    """The one programme from which imported history is granted, with an empty pool for each of the GPU types."""
    with transaction.atomic():
        programme = Programme.objects.filter(imported=True).first() or programme_create(
            name="Imported history",
            slug="imported",
            starts_on=date(1970, 1, 1),
            ends_on=date(9999, 12, 31),
            budgets={},
            actor=actor,
            imported=True,
        )
        for gpu_type in gpu_types:
            pool_ensure(programme=programme, gpu_type=gpu_type)
    return programme
