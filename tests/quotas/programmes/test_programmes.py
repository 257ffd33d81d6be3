"""Programmes: budgets in the ledger, one pool a GPU type."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from portal.clock import centre_date, now
from portal.people.models import User
from quotas.programmes.errors import BudgetInvalid, ProgrammeExists
from quotas.programmes.models import Programme, ProgrammePool
from quotas.programmes.selectors import pool_balances, programmes_open
from quotas.programmes.services import imported_programme_ensure, programme_create, programme_fund
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas.makers import HOUR, named, programme

pytestmark = pytest.mark.django_db


def free() -> dict[str, int]:
    return {row.pool.gpu_type: row.free_gpu_seconds for row in pool_balances()}


def test_a_programme_has_its_budget_by_gpu_type() -> None:
    programme("natif", h100_hours=1_000, h200_hours=20)
    assert free() == {"h100": 1_000 * HOUR, "h200": 20 * HOUR}


def test_a_budget_is_added_once_by_its_id() -> None:
    natif = programme("natif", h100_hours=10)
    for _twice in range(2):
        programme_fund(
            programme=natif, gpu_type="h100", amount_gpu_seconds=HOUR, actor="test", funding_id=named("more")
        )
    assert free() == {"h100": 11 * HOUR}


@pytest.mark.parametrize(
    ("gpu_type", "amount"), [("h100", 0), ("h100", -1), ("H100", 1), ("h100; x", 1), ("", 1), ("a" * 33, 1)]
)
def test_a_wrong_budget_is_refused_and_makes_no_programme(gpu_type: str, amount: int) -> None:
    with pytest.raises(BudgetInvalid):
        programme_create(
            name="N",
            slug="n",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 12, 31),
            budgets={gpu_type: amount},
            actor="test",
        )
    assert not Programme.objects.exists()


def test_a_name_is_used_once() -> None:
    programme("natif")
    with pytest.raises(ProgrammeExists):
        programme("natif")


def test_there_is_one_programme_of_imported_history() -> None:
    first = imported_programme_ensure(gpu_types=["h100"], actor="test")
    second = imported_programme_ensure(gpu_types=["h100", "gpu"], actor="test")
    assert first == second
    assert free() == {"gpu": 0, "h100": 0}
    with pytest.raises(IntegrityError, match="programme_imported_once"), transaction.atomic():
        Programme.objects.create(
            name="x", slug="x", imported=True, starts_on=date(2026, 1, 1), ends_on=date(2026, 1, 2), created_at=now()
        )


def test_only_programmes_of_today_are_open_and_imported_history_never() -> None:
    today = centre_date(now())
    imported_programme_ensure(gpu_types=[], actor="test")
    for slug, starts_on, ends_on in (
        ("over", today - timedelta(days=2), today - timedelta(days=1)),
        ("open", today, today),
        ("later", today + timedelta(days=1), today + timedelta(days=2)),
    ):
        programme_create(name=slug, slug=slug, starts_on=starts_on, ends_on=ends_on, budgets={}, actor="test")
    assert [row.slug for row in programmes_open()] == ["open"]


@pytest.mark.django_db(transaction=True)
def test_eight_who_fund_a_new_type_at_once_make_one_pool() -> None:
    natif = programme("natif", h100_hours=1)

    def fund(_number: int) -> None:
        try:
            programme_fund(programme=natif, gpu_type="h200", amount_gpu_seconds=HOUR, actor="test")
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(fund, range(8)))
    assert ProgrammePool.objects.filter(gpu_type="h200").count() == 1
    assert free()["h200"] == 8 * HOUR


def test_the_page_lists_budgets_with_the_same_queries_for_any_number(
    client_of: Callable[[User], Client], auditor: User
) -> None:
    client = client_of(auditor)

    def queries_with(count: int) -> int:
        for number in range(Programme.objects.count(), count):
            programme(f"p{number}", h100_hours=number + 1, h200_hours=1)
        assert client.get(reverse("programmes:list")).content.decode().count("Programme p") == count
        return queries_of(client, reverse("programmes:list"))

    assert queries_with(3) == queries_with(30) <= QUERIES_MOST
