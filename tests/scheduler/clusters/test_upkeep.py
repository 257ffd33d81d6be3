"""Nodes that are out of service: why, since when, and an operator's order. On a real Slurm:
tests/scheduler/jobs/orders/test_real_left_held.py."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.urls import reverse

from portal.outbox.errors import Later
from portal.outbox.models import Message
from scheduler.clusters.adapters.protocol import ClusterUnreachable, NodeInfo, VerbRefused
from scheduler.clusters.errors import NodeNotIn, NodeNotOut
from scheduler.clusters.models import Cluster, NodeOrder
from scheduler.clusters.services import snapshot_take
from scheduler.clusters.upkeep import (
    answers,
    is_out,
    node_drain,
    node_drain_ask,
    node_resume,
    node_resume_ask,
    nodes_out,
    reason_parts,
)
from scheduler.clusters.words import node_order_text
from tests.scheduler.clusters.test_capacity_pages import Seen
from tests.scheduler.clusters.test_occupancy import NOON, node

pytestmark = pytest.mark.django_db
SEEN = "Duplicate jobid [slurm@2026-06-01T10:00:00]"


class Slurm(Seen):
    def __init__(self) -> None:
        super().__init__()
        self.shown_nodes.append(replace(node("gpu003", "IDLE+DRAIN"), reason=SEEN))
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.obeys = True

    def node_resume(self, *, name: str) -> None:
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        if self.obeys:
            self.put(replace(self.shown(name), state="IDLE", reason=""))

    def node_drain(self, *, name: str, reason: str) -> None:
        self.asked.append(f"{name}: {reason}")
        if self.error is not None:
            raise self.error
        if self.obeys:
            self.put(replace(self.shown(name), state="MIXED+DRAIN", reason=reason))

    def shown(self, name: str) -> NodeInfo:
        return next(one for one in self.shown_nodes if one.name == name)

    def put(self, changed: NodeInfo) -> None:
        self.shown_nodes = [changed if one.name == changed.name else one for one in self.shown_nodes]


@pytest.fixture
def slurm() -> Slurm:
    return Slurm()


@pytest.fixture
def cluster(db: None, slurm: Slurm) -> Cluster:
    made = Cluster.objects.create(name="local", title="Cụm Hà Nội", created_at=NOON)
    snapshot_take(cluster=made, adapter=slurm)
    return made


@pytest.fixture
def order(cluster: Cluster, operator) -> NodeOrder:
    return node_resume_ask(cluster=cluster, node="gpu003", seen=SEEN, person=operator)


def done(order: NodeOrder, slurm: Slurm) -> NodeOrder:
    node_resume(order_id=order.pk, adapter=slurm)
    order.refresh_from_db()
    return order


@pytest.mark.parametrize(
    ("state", "out", "does_answer"),
    [
        ("IDLE", False, True),
        ("IDLE+DRAIN", True, True),
        ("MIXED+DRAIN", True, True),
        ("DOWN", True, True),
        ("DOWN*", True, False),
        ("DOWN+DRAIN+NOT_RESPONDING", True, False),
        ("IDLE+POWERED_DOWN", False, True),
        ("DOWN+REBOOT_ISSUED", False, True),
        ("ALLOCATED*", False, False),
    ],
)
def test_which_nodes_wait_for_somebody(state, out, does_answer):
    assert (is_out(state), answers(state)) == (out, does_answer)


@pytest.mark.parametrize(
    ("seen", "words", "by"),
    [
        (SEEN, "Duplicate jobid", "slurm"),
        ("GPU 3 [bad] gone [root@2026-06-01T10:00:00]", "GPU 3 [bad] gone", "root"),
        ("one [root@2026-06-01T10:00:00]        two", "one two", "root"),
        ("bảo trì", "bảo trì", ""),
        ("", "", ""),
    ],
)
def test_slurms_reason_says_why_who_and_when(seen, words, by):
    since = datetime(2026, 6, 1, 10, tzinfo=UTC) if by else None
    assert reason_parts(seen) == (words, by, since)


def test_they_are_shown_with_why_and_since_when(cluster, client_of, operator, auditor):
    (row,) = nodes_out(cluster)
    assert (row.name, row.words, row.by, row.gpus) == ("gpu003", "Duplicate jobid", "slurm", 8)
    for address in (reverse("clusters:nodes_out", args=["local"]), reverse("clusters:nodes_out_card")):
        page = client_of(auditor).get(address).content.decode()
        assert "gpu003" in page
        assert "slurmctld bị tắt đột ngột" in page
        assert "gpu001" not in page
        assert "<form" not in page
    assert "<form" in client_of(operator).get(reverse("clusters:nodes_out", args=["local"])).content.decode()


def test_an_operator_lets_one_work_again_once(cluster, slurm, client_of, operator):
    client = client_of(operator)
    for _ in range(2):  # twice the same is one order
        address = reverse("clusters:node_resume", args=["local"])
        assert client.post(address, {"node": "gpu003", "seen": SEEN}).status_code == 302
    order = NodeOrder.objects.get()
    message = Message.objects.get(topic="clusters.node_resume")
    assert (message.queue, message.payload) == ("cluster.local", {"order": str(order.pk)})
    assert done(order, slurm).state == "done"
    assert done(order, slurm).person == operator
    assert slurm.asked == ["gpu003"]
    snapshot_take(cluster=cluster, adapter=slurm)
    page = client.get(reverse("clusters:nodes_out", args=["local"])).content.decode()
    assert node_order_text(order) in page
    assert operator.full_name in page


@pytest.mark.parametrize(("name", "seen"), [("gpu001", ""), ("gpu003", "another"), ("gpu[001-003]", SEEN), ("", "")])
def test_only_a_node_that_is_out_for_the_reason_that_was_seen(cluster, operator, name, seen):
    with pytest.raises(NodeNotOut):
        node_resume_ask(cluster=cluster, node=name, seen=seen, person=operator)
    assert not Message.objects.exists()


def test_what_somebody_took_out_meanwhile_for_another_reason_stays_out(slurm, order):
    slurm.put(replace(slurm.shown("gpu003"), reason="GPU 3 is broken [root@2026-06-01T11:00:00]"))
    assert (done(order, slurm).state, slurm.asked) == ("refused", [])
    assert node_order_text(order)


def test_one_that_works_by_then_or_is_gone_is_left_alone(slurm, order, cluster, operator):
    slurm.put(replace(slurm.shown("gpu003"), state="IDLE", reason=""))
    assert (done(order, slurm).state, slurm.asked) == ("done", [])
    again = node_resume_ask(cluster=cluster, node="gpu003", seen=SEEN, person=operator)
    slurm.shown_nodes = slurm.shown_nodes[:2]
    assert (done(again, slurm).state, slurm.asked) == ("refused", [])


def test_slurm_refuses_is_slow_or_is_away(slurm, order, cluster, operator):
    slurm.obeys = False
    with pytest.raises(Later):
        done(order, slurm)
    slurm.error = ClusterUnreachable("connect failure")
    with pytest.raises(ClusterUnreachable):
        done(order, slurm)
    assert NodeOrder.objects.get().state == "asked"
    slurm.error = VerbRefused("Invalid node state specified")
    assert "Invalid node state" in node_order_text(done(order, slurm))


# --- taking one out -------------------------------------------------------------------------------------------------


def drained(order: NodeOrder, slurm: Slurm) -> NodeOrder:
    node_drain(order_id=order.pk, adapter=slurm)
    order.refresh_from_db()
    return order


def test_a_node_is_taken_out_once(cluster, slurm, operator):
    first, again = (node_drain_ask(cluster=cluster, node="gpu001", reason="lost", person=operator) for _ in range(2))
    assert first == again
    assert Message.objects.get(topic="clusters.node_drain").queue == "cluster.local"
    for _ in range(2):
        assert drained(first, slurm).state == "done"
    assert slurm.asked == ["gpu001: lost"]


@pytest.mark.parametrize("name", ["gpu003", "gpu999", ""])
def test_only_a_node_that_is_in_service_is_taken_out(cluster, operator, name):
    with pytest.raises(NodeNotIn):
        node_drain_ask(cluster=cluster, node=name, reason="lost", person=operator)
    assert not Message.objects.exists()


def test_who_took_it_out_meanwhile_keeps_their_reason_and_slurm_may_refuse(cluster, slurm, operator):
    order = node_drain_ask(cluster=cluster, node="gpu001", reason="lost", person=operator)
    slurm.obeys = False
    with pytest.raises(Later):
        drained(order, slurm)
    slurm.error = VerbRefused("Invalid node state specified")
    assert "Invalid node state" in node_order_text(drained(order, slurm))
    order = node_drain_ask(cluster=cluster, node="gpu001", reason="lost", person=operator)
    slurm.put(replace(slurm.shown("gpu001"), state="IDLE+DRAIN", reason="burnt"))
    assert (drained(order, slurm).state, slurm.shown("gpu001").reason) == ("done", "burnt")
