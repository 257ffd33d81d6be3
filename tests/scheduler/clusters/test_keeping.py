"""Operators keep the rows of clusters: add, change their words, retire, take back, switch off."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from quotas.clusters import cluster_choices, cluster_is_open, cluster_title
from scheduler.clusters.models import Cluster, Snapshot
from scheduler.jobs.selectors import cluster_of
from scheduler.settlement.tasks import cluster_cycle
from tests.quotas import makers

pytestmark = pytest.mark.django_db
GIVEN = {
    "name": "south",
    "title": "Trung tâm Nam",
    "about": "TP. Hồ Chí Minh, 512 H100",
    "account_prefix": "sl-",
    "overshoot_s": 90,
    "removals_cap": 5,
}


@pytest.fixture
def window(client_of: Any, operator: User, settings: Settings) -> Client:
    settings.CLUSTERS = ["local", "south"]
    client: Client = client_of(operator)
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def south(window: Client) -> Cluster:
    assert window.post(reverse("accounts:cluster_new"), GIVEN).status_code == 302
    return Cluster.objects.get(name="south")


def page(window: Client, cluster: Cluster) -> str:
    return " ".join(window.get(reverse("accounts:cluster", args=[cluster.name])).content.decode().split())


def verb(window: Client, cluster: Cluster, verb_name: str, **given: object) -> str:
    answer = window.post(reverse(f"accounts:cluster_{verb_name}", args=[cluster.name]), given, follow=True)
    return " ".join(answer.content.decode().split())


def test_a_cluster_is_added_and_offered_by_its_words(window: Client, south: Cluster) -> None:
    assert (south.title, south.overshoot_s, south.removals_cap) == ("Trung tâm Nam", 90, 5)
    assert ("south", "Trung tâm Nam") in cluster_choices()
    shown = page(window, south)
    assert "TP. Hồ Chí Minh, 512 H100" in shown
    assert reverse("programmes:tariffs") in shown
    assert "No worker of this portal" not in shown


def test_one_without_a_worker_says_so_and_is_offered_to_nobody(
    window: Client, south: Cluster, settings: Settings
) -> None:
    settings.CLUSTERS = ["local"]
    assert "No worker of this portal follows south yet" in page(window, south)
    assert "south" not in dict(cluster_choices())


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "new"), ("name", "South"), ("name", "a b"), ("name", "south"), ("account_prefix", "sl"), ("title", "")],
)
def test_what_cannot_be_is_said_beside_its_field(window: Client, south: Cluster, field: str, value: str) -> None:
    answer = window.post(reverse("accounts:cluster_new"), GIVEN | {"name": "west"} | {field: value})
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert Cluster.objects.count() == 1


def test_words_change_and_names_in_slurm_stay(window: Client, south: Cluster) -> None:
    verb(window, south, "edit", **(GIVEN | {"title": "Cụm Nam", "name": "x", "account_prefix": "x-"}))
    south.refresh_from_db()
    assert (south.title, south.name, south.account_prefix) == ("Cụm Nam", "south", "sl-")
    assert cluster_title("south") == "Cụm Nam"


def test_a_retired_one_takes_nothing_new_and_its_worker_goes_on(
    window: Client, south: Cluster, project: Project
) -> None:
    allocation = makers.award(project, makers.programme(), cluster="south")
    Snapshot.objects.create(cluster=south, taken_at=now(), pending_jobs=2, running_jobs=1)
    form = " ".join(window.get(reverse("accounts:cluster_retire", args=["south"])).content.decode().split())
    assert "There now: 3 jobs, and allocations with 100 GPU-hours." in form
    assert "Retired on" in verb(window, south, "retire", reason="hết hợp đồng")
    south.refresh_from_db()
    assert (south.is_active, south.retired_reason) == (True, "hết hợp đồng")
    assert "south" not in dict(cluster_choices())
    assert not cluster_is_open("south")
    assert cluster_of(allocation) is None

    assert "3 jobs are there and allocations have 100 GPU-hours left" in verb(window, south, "switch_off")
    Snapshot.objects.update(pending_jobs=0, running_jobs=0)
    Allocation.objects.update(cluster="local")
    assert "its worker does not look at it any more" in verb(window, south, "switch_off")
    cluster_cycle("south")  # would raise: nobody told this process how to reach it
    verb(window, south, "reinstate")
    south.refresh_from_db()
    assert (south.is_active, south.retired_at, cluster_of(Allocation.objects.get())) == (True, None, None)
    assert cluster_is_open("south")


def test_who_did_what_is_kept(window: Client, south: Cluster, operator: User) -> None:
    verb(window, south, "retire", reason="x")
    history = list(south.events.order_by("pgh_id").values_list("pgh_label", "retired_reason"))
    assert history == [("created", ""), ("changed", "x")]
