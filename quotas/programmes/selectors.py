"""Programmes and what is left of their budgets. They are public facts: any person who is logged in may read them."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from django.db.models import QuerySet

from portal.clock import centre_date, now
from quotas.ledger.selectors import balances
from quotas.programmes.models import Programme, ProgrammePool


@dataclass(frozen=True)
class PoolBalance:
    """One GPU type's budget of a programme, in GPU-seconds."""

    programme: Programme
    pool: ProgrammePool
    funded_gpu_seconds: int
    free_gpu_seconds: int

    @property
    def awarded_gpu_seconds(self) -> int:
        return self.funded_gpu_seconds - self.free_gpu_seconds


def programmes_open(*, on: date | None = None) -> QuerySet[Programme]:
    """Programmes to which an organisation can apply on a day (today, unless given)."""
    day = on or centre_date(now())
    return Programme.objects.filter(imported=False, starts_on__lte=day, ends_on__gte=day).prefetch_related("pools")


def programme_list() -> list[tuple[Programme, list[PoolBalance]]]:
    """Every programme with its budgets, the newest first; three queries whatever their number."""
    budgets: dict[int, list[PoolBalance]] = defaultdict(list)
    for row in pool_balances():
        budgets[row.programme.pk].append(row)
    return [(programme, budgets[programme.pk]) for programme in Programme.objects.order_by("-starts_on", "name")]


def pool_free_gpu_seconds(pool: ProgrammePool) -> int:
    return balances([pool.account_id])[pool.account_id].free


def pool_balances(programme: Programme | None = None) -> list[PoolBalance]:
    """Every pool (of one programme) with what it was funded with and what is free, in two queries."""
    pools = ProgrammePool.objects.select_related("programme").order_by("programme__name", "gpu_type")
    if programme is not None:
        pools = pools.filter(programme=programme)
    rows = list(pools)
    known = balances([pool.account_id for pool in rows])
    return [
        PoolBalance(
            programme=pool.programme,
            pool=pool,
            funded_gpu_seconds=known[pool.account_id].credits_posted,
            free_gpu_seconds=known[pool.account_id].free,
        )
        for pool in rows
    ]
