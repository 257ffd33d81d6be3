"""The GPUs' page: all see what is free, nobody whose the other jobs are. Read from the worker's last look."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.people.models import Project, User
from scheduler.clusters.adapters.limits import ReservationInfo
from scheduler.clusters.adapters.protocol import ControllerStatus, PartitionInfo
from scheduler.clusters.models import Cluster
from scheduler.clusters.selectors import capacity_get
from scheduler.clusters.services import snapshot_take
from tests.counting import QUERIES_MOST, queries_of
from tests.scheduler.clusters.test_occupancy import NOON, job, node


class Seen:
    """A Slurm that shows what a test puts there; the real one's pages are looked at in the stack's own tests."""

    def __init__(self) -> None:
        self.shown_nodes = [node(f"gpu{number:03}", "MIXED", used=4) for number in range(1, 3)]
        self.shown_queue = [
            job(1, account="sl-mo-hinh-tieng-viet", gpus={"h100": 4}),
            job(2, account="sl-anh-ve-tinh", gpus={"h100": 4}),
            job(3, account="sl-anh-ve-tinh", state="PENDING", start_at=NOON + timedelta(minutes=5)),
            job(4, account="root", state="PENDING", start_at=None),
        ]

    def controller_status(self) -> ControllerStatus:
        return ControllerStatus(booted_at=NOON, dbd_queue=0, answered_at=NOON)

    def nodes(self):
        return self.shown_nodes

    def partitions(self):
        return [PartitionInfo("h100", True, "h100", 2, 8, 0, 0)]

    def reservations(self) -> list[ReservationInfo]:
        return []

    def queue(self, **_ids: object):
        return self.shown_queue


@pytest.fixture
def slurm() -> Seen:
    return Seen()


@pytest.fixture
def cluster(db: None, project: Project, other_project: Project) -> Cluster:
    return Cluster.objects.create(name="local", title="Cụm Hà Nội", created_at=NOON)


@pytest.fixture
def page(client_of: Callable[..., Client], cluster: Cluster, slurm: Seen):
    def read(person: User, query: str = "", *, look: bool = True) -> str:
        if look:
            snapshot_take(cluster=cluster, adapter=slurm)
        client = client_of(person)
        client.cookies["django_language"] = "en"
        response = client.get(reverse("clusters:capacity", args=["local"]) + query)
        assert response.status_code == 200
        return response.content.decode()

    return read


def test_a_person_sees_their_own_organisation_and_the_rest_as_one_row(page, researcher: User) -> None:
    text = page(researcher)
    assert "Công ty Sao Mai AI" in text
    assert "Others" in text
    assert "Đại học Hồng Lam" not in text
    assert "Ảnh vệ tinh" not in text
    assert "Of another organisation" in text  # whose job starts next


def test_an_operator_sees_whose_they_are(page, operator: User) -> None:
    text = page(operator)
    assert "Đại học Hồng Lam" in text
    assert "Ảnh vệ tinh" in text
    assert "Others" in text  # an account of no project


def test_the_figures_are_those_of_the_last_look(cluster: Cluster, slurm: Seen, operator: User) -> None:
    snapshot_take(cluster=cluster, adapter=slurm)
    found = capacity_get(operator, "local")
    (row,) = found.types
    assert (row.count.total, row.count.allocated, row.count.free) == (16, 8, 8)
    assert row.free_within[-1] == 16
    assert row.fp8_pflops == pytest.approx(16 * 1.979)
    assert [(share.running, share.pending) for share in found.shares] == [(4, 8), (4, 0), (0, 8)]


def test_no_more_can_become_free_than_is_in_service(cluster: Cluster, slurm: Seen, operator: User) -> None:
    slurm.shown_nodes = [replace(slurm.shown_nodes[0], state="MIXED+DRAIN"), slurm.shown_nodes[1]]
    snapshot_take(cluster=cluster, adapter=slurm)
    (row,) = capacity_get(operator, "local").types
    assert (row.count.out, row.count.free, max(row.free_within)) == (4, 4, 12)


def test_a_cluster_that_nobody_has_seen_says_so(page, nobody: User) -> None:
    assert "Nothing seen yet" in page(nobody, look=False)


def test_a_look_that_failed_leaves_the_last_one_with_its_time(page, cluster: Cluster, nobody: User) -> None:
    page(nobody)
    cluster.snapshot.reachable = False
    cluster.snapshot.save()
    assert "this is what was seen last" in page(nobody, look=False)


def test_nodes_are_shown_by_state_and_by_page(page, slurm: Seen, nobody: User) -> None:
    slurm.shown_nodes = [node(f"gpu{number:03}") for number in range(60)]
    slurm.shown_nodes[7] = replace(slurm.shown_nodes[7], state="IDLE+DRAIN", reason="fan <b>")
    text = page(nobody)
    assert text.count("<code>gpu") == 50
    assert "fan &lt;b&gt;" in text  # a node with a reason comes first
    assert page(nobody, "?page=2").count("<code>gpu") == 10
    assert page(nobody, "?nodes=drained").count("<code>gpu") == 1
    assert "No node is in this state" in page(nobody, "?nodes=down")
    assert page(nobody, "?nodes=nonsense&page=x").count("<code>gpu") == 50


def test_one_cluster_is_shown_at_once_and_several_in_a_table(client_of, cluster: Cluster, nobody: User) -> None:
    assert client_of(nobody).get(reverse("clusters:capacities")).url == reverse("clusters:capacity", args=["local"])
    Cluster.objects.create(name="second", title="Cụm Hoà Lạc", created_at=NOON)
    Cluster.objects.create(name="old", title="Cụm cũ", is_active=False, created_at=NOON)
    text = client_of(nobody).get(reverse("clusters:capacities")).content.decode()
    assert "Cụm Hoà Lạc" in text
    assert "Cụm cũ" not in text


def test_a_longer_queue_asks_the_database_no_more_often(client_of, cluster, slurm, operator) -> None:
    client, address = client_of(operator), reverse("clusters:capacity", args=["local"])
    snapshot_take(cluster=cluster, adapter=slurm)
    few = queries_of(client, address)
    slurm.shown_queue = [job(number, account=f"sl-{number % 50}", state="PENDING") for number in range(500)]
    snapshot_take(cluster=cluster, adapter=slurm)
    assert queries_of(client, address) <= few <= QUERIES_MOST
