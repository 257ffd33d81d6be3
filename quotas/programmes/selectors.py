"""Programmes, what is left of their budgets, tariffs, calls. Public money: anybody may read them, but imported history
and what is for changes."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.clock import centre_date, now
from portal.people.rules import Person, is_operator
from quotas.ledger.selectors import balances
from quotas.programmes.errors import TariffMissing
from quotas.programmes.models import Call, Programme, ProgrammeBudget, ProgrammePool, QuestionSet, Tariff


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


@dataclass(frozen=True)
class MoneyBalance:
    """A programme's budget in VND."""

    funded_vnd: int
    free_vnd: int

    @property
    def awarded_vnd(self) -> int:
        return self.funded_vnd - self.free_vnd


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


def programme_get(slug: str) -> Programme:
    """For its public page. Raises Http404; imported history is no programme that anybody can apply to."""
    return get_object_or_404(Programme, slug=slug, imported=False)


def programme_get_managed(person: Person, slug: str) -> Programme:
    """For changes: operators. Raises Http404."""
    if not is_operator(person):
        raise Http404
    return programme_get(slug)


def is_funded(programme: Programme) -> bool:
    """Whether the programme ever had a budget, of money or of GPUs."""
    purses = [row.account_id for row in programme.pools.all()]
    purses += ProgrammeBudget.objects.filter(programme=programme).values_list("account_id", flat=True)
    return any(balance.credits_posted for balance in balances(purses).values())


def budget_of(programme: Programme) -> MoneyBalance:
    """What the programme was given in VND, and what is free; zero for a programme that was never given any."""
    budget = ProgrammeBudget.objects.filter(programme=programme).first()
    if budget is None:
        return MoneyBalance(0, 0)
    known = balances([budget.account_id, budget.source_account_id])
    # What was taken back has gone to the source again: it was not awarded.
    funded = -known[budget.source_account_id].posted
    return MoneyBalance(funded_vnd=funded, free_vnd=known[budget.account_id].free)


# --- tariffs --------------------------------------------------------------------------------------------------------


def tariff_on(gpu_type: str, day: date) -> Tariff:
    """The tariff of a day of the centre. Raises TariffMissing."""
    found = Tariff.objects.filter(gpu_type=gpu_type, valid_from__lte=day).order_by("-valid_from").first()
    if found is None:
        raise TariffMissing(gpu_type=gpu_type, day=day)
    return found


def tariff_today(gpu_type: str) -> int | None:
    """VND per GPU-hour, or None where the type has no tariff today."""
    today = tariffs_on(centre_date(now())).get(gpu_type)
    return today.vnd_per_gpu_hour if today else None


def tariffs_on(day: date) -> dict[str, Tariff]:
    """Every GPU type's tariff of a day of the centre, in one query."""
    rows = Tariff.objects.filter(valid_from__lte=day).order_by("gpu_type", "-valid_from").distinct("gpu_type")
    return {row.gpu_type: row for row in rows}


def tariff_list() -> QuerySet[Tariff]:
    """All there ever were, by GPU type, the latest first."""
    return Tariff.objects.select_related("proposal").order_by("gpu_type", "-valid_from")


# --- calls ----------------------------------------------------------------------------------------------------------


def calls_open(at: datetime) -> QuerySet[Call]:
    """Calls that take applications at a moment, the first to close first."""
    return (
        Call.objects.filter(opens_at__lte=at, closes_at__gt=at).select_related("programme").order_by("closes_at", "id")
    )


def call_get(slug: str) -> Call:
    """For its public page: an announced, an open or a closed call. Raises Http404."""
    return get_object_or_404(Call.objects.select_related("programme"), slug=slug)


def call_get_managed(person: Person, slug: str) -> Call:
    """For changes: operators. Raises Http404."""
    if not is_operator(person):
        raise Http404
    return call_get(slug)


def questions_current(call: Call) -> QuestionSet:
    """The version of its questions that a new application of the call is written for."""
    return QuestionSet.objects.filter(call=call).latest("version")


# --- budgets --------------------------------------------------------------------------------------------------------


def pool_free_gpu_seconds(pool: ProgrammePool) -> int:
    return balances([pool.account_id])[pool.account_id].free


def pool_balances(programme: Programme | None = None) -> list[PoolBalance]:
    """Every pool (of one programme) with what it was funded with and what is free, in two queries."""
    pools = ProgrammePool.objects.select_related("programme").order_by("programme__name", "gpu_type")
    if programme is not None:
        pools = pools.filter(programme=programme)
    rows = list(pools)
    known = balances([account for pool in rows for account in (pool.account_id, pool.source_account_id)])
    return [
        PoolBalance(
            programme=pool.programme,
            pool=pool,
            # What was taken back has gone to the source again: it was not awarded.
            funded_gpu_seconds=-known[pool.source_account_id].posted,
            free_gpu_seconds=known[pool.account_id].free,
        )
        for pool in rows
    ]
