"""Programmes, what is left of their budgets, tariffs, calls. Public money: anybody may read them, but imported history
and what is for changes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.clock import centre_date, now
from portal.people.rules import Person, is_operator, reads_everything
from quotas.ledger.selectors import balances
from quotas.money import vnd_of
from quotas.programmes.errors import TariffMissing
from quotas.programmes.models import Call, Programme, ProgrammeBudget, ProgrammePool, QuestionSet, Tariff
from quotas.programmes.questions import Question, questions_of
from quotas.proposals.models import Proposal


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


@dataclass(frozen=True)
class ProgrammeRow:
    programme: Programme
    pools: list[PoolBalance]
    money: MoneyBalance
    calls: list[Call]


def programme_list(person: Person) -> list[ProgrammeRow]:
    """Every programme with its budgets and calls, the newest first; the same queries whatever their number.

    Imported history is shown to those who read everything only.
    """
    pools: dict[int, list[PoolBalance]] = defaultdict(list)
    for row in pool_balances():
        pools[row.programme.pk].append(row)
    calls: dict[int, list[Call]] = defaultdict(list)
    for call in Call.objects.order_by("-opens_at", "id"):
        calls[call.programme_id].append(call)
    money = _money_balances()
    programmes = Programme.objects.order_by("-starts_on", "name")
    if not reads_everything(person):
        programmes = programmes.filter(imported=False)
    nothing = MoneyBalance(0, 0)
    return [ProgrammeRow(one, pools[one.pk], money.get(one.pk, nothing), calls[one.pk]) for one in programmes]


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
    return _money_balances(programme).get(programme.pk, MoneyBalance(0, 0))


def _money_balances(programme: Programme | None = None) -> dict[int, MoneyBalance]:
    budgets = (
        ProgrammeBudget.objects.all() if programme is None else ProgrammeBudget.objects.filter(programme=programme)
    )
    rows = list(budgets)
    known = balances([account for row in rows for account in (row.account_id, row.source_account_id)])
    return {
        row.programme_id: MoneyBalance(
            # What was taken back has gone to the source again: it was not awarded.
            funded_vnd=-known[row.source_account_id].posted,
            free_vnd=known[row.account_id].free,
        )
        for row in rows
    }


# --- tariffs --------------------------------------------------------------------------------------------------------


def tariff_on(gpu_type: str, day: date, cluster: str = "") -> Tariff:
    """The tariff of a day of the centre: the cluster's own, or the one of all. Raises TariffMissing."""
    found = _in_force(day, cluster).filter(gpu_type=gpu_type).first()
    if found is None:
        raise TariffMissing(gpu_type=gpu_type, day=day)
    return found


def tariff_today(gpu_type: str, cluster: str = "") -> int | None:
    """VND per GPU-hour, or None where the type has no tariff today."""
    today = tariffs_on(centre_date(now()), cluster).get(gpu_type)
    return today.vnd_per_gpu_hour if today else None


def worth_today_vnd(gpu_type: str, gpu_seconds: int, cluster: str = "") -> int | None:
    """What GPU-seconds are worth at today's tariff; None where the type has none."""
    tariff = tariff_today(gpu_type, cluster)
    return None if tariff is None else vnd_of(gpu_seconds, tariff)


def tariffs_on(day: date, cluster: str = "") -> dict[str, Tariff]:
    """Every GPU type's tariff of a day of the centre, on a cluster or in general, in one query."""
    return {row.gpu_type: row for row in _in_force(day, cluster)}


def _in_force(day: date, cluster: str) -> QuerySet[Tariff]:
    """One of each GPU type: a cluster's own goes before the one of all clusters."""
    rows = Tariff.objects.filter(valid_from__lte=day, cluster__in={"", cluster})
    return rows.order_by("gpu_type", "-cluster", "-valid_from").distinct("gpu_type")


def tariffs_in_force(day: date) -> list[Tariff]:
    """Those of all clusters and each cluster's own."""
    rows = Tariff.objects.filter(valid_from__lte=day).order_by("gpu_type", "cluster", "-valid_from")
    return list(rows.distinct("gpu_type", "cluster"))


def gpu_types_known() -> list[str]:
    """Those that some programme has a pool of or some tariff names."""
    pools = ProgrammePool.objects.values_list("gpu_type").union(Tariff.objects.values_list("gpu_type"))
    return sorted(gpu_type for (gpu_type,) in pools)


def tariff_list() -> QuerySet[Tariff]:
    """All there ever were, by GPU type, the latest first."""
    return Tariff.objects.select_related("proposal__proposed_by").order_by("gpu_type", "cluster", "-valid_from")


def proposals_waiting(kinds: Sequence[str], programme: Programme | None = None) -> QuerySet[Proposal]:
    """What is proposed about tariffs or a programme and not decided yet, for those who read everything to see."""
    rows = Proposal.objects.filter(state=Proposal.State.WAITING, kind__in=kinds).select_related("proposed_by")
    return rows.filter(facts__programme=programme.pk) if programme is not None else rows


# --- calls ----------------------------------------------------------------------------------------------------------


def calls_open(at: datetime) -> QuerySet[Call]:
    """Calls that take applications at a moment, the first to close first."""
    return (
        Call.objects.filter(opens_at__lte=at, closes_at__gt=at).select_related("programme").order_by("closes_at", "id")
    )


def calls_announced(at: datetime) -> QuerySet[Call]:
    """Calls that open after a moment, the next one first."""
    return Call.objects.filter(opens_at__gt=at).select_related("programme").order_by("opens_at", "id")


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


def questions_now(call: Call) -> list[Question]:
    return questions_of(questions_current(call))


def question_keys(call: Call) -> set[str]:
    """Every key that a question of the call ever had, in any version."""
    versions = QuestionSet.objects.filter(call=call).values_list("questions", flat=True)
    return {question["key"] for questions in versions for question in questions}


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
