"""The page of reconciliations: each cluster's last, and how far and how well its worker comes."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.clock import now
from portal.people.models import User
from scheduler.clusters.models import Cluster
from scheduler.settlement.models import Cursor, CycleStep, Reconciliation
from scheduler.settlement.selectors import cluster_accounts
from tests.counting import QUERIES_MOST, queries_of

pytestmark = pytest.mark.django_db


def worked(name: str, *charged: int) -> Cluster:
    """A cluster whose worker reconciled so often, the last just now, and whose step "settle" is late."""
    made = Cluster.objects.create(name=name, title=name.upper(), created_at=now())
    Cursor.objects.create(cluster=made, read_until=now() - timedelta(seconds=10), updated_at=now())
    for step, age_s in (("snapshot", 1), ("settle", 100_000)):
        at = now() - timedelta(seconds=age_s)
        CycleStep.objects.create(cluster=made, step=step, ran_at=at, succeeded_at=at, duration_s=1)
    zero = dict.fromkeys(
        ("records", "residual_gpu_seconds", "imported_gpu_seconds", "overrun_gpu_seconds", "differences_count"), 0
    )
    for age, amount in enumerate(reversed(charged)):
        at = now() - timedelta(hours=age)
        facts = {**zero, "charged_gpu_seconds": amount, "slurmdbd_gpu_seconds": amount, "counter_gaps": {}}
        Reconciliation.objects.create(cluster=made, taken_at=at, duration_s=1, **facts)
    return made


def test_each_cluster_is_shown_as_it_was_last_seen(operator: User) -> None:
    worked("one", 1, 2)
    worked("two", 5, 3)
    Cluster.objects.create(name="three", title="Three", created_at=now())
    one, three, two = cluster_accounts(operator)
    assert [found.reconciliation and found.reconciliation.charged_gpu_seconds for found in (one, two, three)] == [
        2, 3, None
    ]  # fmt: skip
    assert [(row.step.step, row.is_late) for row in one.steps] == [("snapshot", False), ("settle", True)]
    assert two.read_until_age_s is not None
    assert 10 <= two.read_until_age_s < 100
    assert (three.steps, three.read_until_age_s) == ([], None)


def test_pages_of_clusters_cost_the_same_for_any_number(
    client_of: Callable[[User], Client], operator: User, auditor: User
) -> None:
    client, names = client_of(auditor), ("settlement:reconciliation", "accounts:clusters", "accounts:card")

    def queries_with(count: int) -> list[int]:
        for number in range(Cluster.objects.count(), count):
            worked(f"cluster-{number}", number)
        return [queries_of(client, reverse(name)) for name in names]

    few = queries_with(1)
    assert queries_with(5) == few
    assert max(few) <= QUERIES_MOST
