"""Nodes that are out of service: why, since when, and the orders that one works again or is taken out.

Slurm takes a node out by itself (a launch that failed, a number that it knew already, a prolog that broke), and so do
people with scontrol. Either way it stays out until somebody says otherwise. An operator says so here for the reason
that they saw; the cluster's worker looks again, and does nothing where it is another one by then.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from portal.audit.context import acting
from portal.clock import now
from portal.outbox.errors import Later
from portal.outbox.services import message_write
from portal.people.models import User
from scheduler.clusters.adapters.protocol import ClusterAdapter, NodeInfo, VerbRefused
from scheduler.clusters.errors import NodeNotIn, NodeNotOut
from scheduler.clusters.models import Cluster, NodeOrder, Snapshot
from scheduler.clusters.occupancy import node_class

RESUME_TOPIC, DRAIN_TOPIC = "clusters.node_resume", "clusters.node_drain"
LOOK_AGAIN_S = 2
ORDERS_SHOWN = 10
_OUT = {"DOWN", "ERROR", "FAIL"}  # base states that RESUME ends; else the flag DRAIN
_BY_ITSELF = {"POWERED_DOWN", "POWERING_DOWN", "POWERING_UP", "REBOOT_ISSUED", "REBOOT_REQUESTED"}
_SAID = re.compile(r"(?s)(?P<words>.*?)\s*\[(?P<by>[^@\[\]]*)@(?P<at>\d{4}-\d\d-\d\dT[\d:]{8})\](?P<more>.*)")


@dataclass(frozen=True, kw_only=True)
class NodeOut:
    """`seen` is all that Slurm says of the reason; `words`, `by` (a unix account) and `since` its parts."""

    name: str
    kind: str  # occupancy.node_class
    state: str
    seen: str
    words: str
    by: str
    since: datetime | None
    gpus: int
    answers: bool  # its slurmd does
    order: NodeOrder | None = None  # on its way


def is_out(state: str) -> bool:
    """Whether a node stays away from jobs until somebody says otherwise. `state` as Slurm prints it."""
    base, flags = _state_parts(state)
    return ("DRAIN" in flags or base in _OUT) and not flags & _BY_ITSELF


def answers(state: str) -> bool:
    return "*" not in state.split("+")[0] and "NOT_RESPONDING" not in _state_parts(state)[1]


def _state_parts(state: str) -> tuple[str, set[str]]:
    words = state.upper().split("+")
    return words[0].rstrip("*~#!%$@^-"), set(words[1:])


def reason_parts(seen: str) -> tuple[str, str, datetime | None]:
    """Words, who and when, of "Duplicate jobid [slurm@2026-11-22T17:48:31]"; the time is UTC."""
    found = _SAID.fullmatch(seen.strip())
    if found is None:
        return seen.strip(), "", None
    words = f"{found['words']} {found['more'].strip()}".strip()
    return words, found["by"], datetime.fromisoformat(found["at"]).replace(tzinfo=UTC)


def nodes_out(cluster: Cluster) -> list[NodeOut]:
    """As the worker last saw them, those out longest first."""
    stored = Snapshot.objects.filter(cluster=cluster).values_list("nodes", flat=True).first() or []
    found = [node for node in stored if is_out(node["state"])]
    if not found:
        return []
    under_way = NodeOrder.objects.filter(cluster=cluster, state=NodeOrder.State.ASKED).select_related("person")
    orders = {order.node: order for order in under_way}
    rows = [_row(node, orders.get(node["name"])) for node in found]
    return sorted(rows, key=lambda row: (row.since is None, row.since, row.name))


def _row(node: dict[str, object], order: NodeOrder | None) -> NodeOut:
    state, seen, gpus = str(node["state"]), str(node["reason"]), node["gpus"]
    assert isinstance(gpus, dict)
    words, by, since = reason_parts(seen)
    return NodeOut(
        name=str(node["name"]),
        kind=node_class(state),
        state=state,
        seen=seen,
        words=words,
        by=by,
        since=since,
        gpus=sum(gpus.values()),
        answers=answers(state),
        order=order,
    )


def orders_last(cluster: Cluster) -> list[NodeOrder]:
    """What came of the last orders, the newest first."""
    ended = NodeOrder.objects.filter(cluster=cluster).exclude(state=NodeOrder.State.ASKED)
    return list(ended.select_related("person")[:ORDERS_SHOWN])


def node_resume_ask(*, cluster: Cluster, node: str, seen: str, person: User) -> NodeOrder:
    """Asks the worker to let a node work again that is out for the reason `seen`. Asked twice, it is asked once.

    Raises NodeNotOut where the last look shows it in service, or out for another reason.
    """
    row = next((row for row in nodes_out(cluster) if row.name == node), None)
    if row is None or row.seen != seen:
        raise NodeNotOut
    with transaction.atomic(), acting(person, "node_resume_ask"):
        return _ask(NodeOrder(cluster=cluster, node=node, seen=seen, person=person), RESUME_TOPIC)


def node_drain_ask(*, cluster: Cluster, node: str, reason: str, person: User) -> NodeOrder:
    """Asks the worker to take a node out: no new job, what runs there goes on. Asked twice, it is asked once.

    Raises NodeNotIn where the last look shows no such node in service.
    """
    stored = Snapshot.objects.filter(cluster=cluster).values_list("nodes", flat=True).first() or []
    if not any(row["name"] == node and not is_out(row["state"]) for row in stored):
        raise NodeNotIn
    with transaction.atomic(), acting(person, "node_drain_ask"):
        order = NodeOrder(cluster=cluster, node=node, verb=NodeOrder.Verb.DRAIN, seen=reason, person=person)
        return _ask(order, DRAIN_TOPIC)


def _ask(order: NodeOrder, topic: str) -> NodeOrder:
    """One at a time for a node: the one that is on its way stays."""
    order.id, order.asked_at = uuid4(), now()
    try:
        with transaction.atomic():
            order.save(force_insert=True)
    except IntegrityError:
        return NodeOrder.objects.get(cluster=order.cluster, node=order.node, state=NodeOrder.State.ASKED)
    message_write(
        topic=topic,
        key=str(order.pk),
        payload={"order": str(order.pk)},
        queue=f"cluster.{order.cluster.name}",
    )
    return order


# --- the worker's part --------------------------------------------------------------------------------------------


def node_resume(*, order_id: UUID, adapter: ClusterAdapter) -> None:
    """Carries out an order, once, however often it is delivered. Raises ClusterError or Later: come again."""
    order = NodeOrder.objects.get(pk=order_id)
    if order.state != NodeOrder.State.ASKED:
        return
    node = _look(order, adapter.nodes())
    if node is None:
        return
    if node.reason != order.seen:
        _end(order, "another_reason")
        return
    try:
        adapter.node_resume(name=order.node)
    except VerbRefused as refusal:
        _end(order, str(refusal))
        return
    if _look(order, adapter.nodes()) is not None:
        raise Later(LOOK_AGAIN_S, "Slurm still shows the node out of service")


def node_drain(*, order_id: UUID, adapter: ClusterAdapter) -> None:
    """As node_resume. A node that is out by then is left as it is: whoever took it out gave a reason."""
    order = NodeOrder.objects.get(pk=order_id)
    if order.state != NodeOrder.State.ASKED:
        return
    if _look_in(order, adapter.nodes()) is None:
        return
    try:
        adapter.node_drain(name=order.node, reason=order.seen)
    except VerbRefused as refusal:
        _end(order, str(refusal))
        return
    if _look_in(order, adapter.nodes()) is not None:
        raise Later(LOOK_AGAIN_S, "Slurm still shows the node in service")


def _look_in(order: NodeOrder, nodes: Sequence[NodeInfo]) -> NodeInfo | None:
    """The node while it is in service. None: it is not, or there is none of this name, and the order says so."""
    node = next((node for node in nodes if node.name == order.node), None)
    if node is not None and not is_out(node.state):
        return node
    _end(order, "no_such_node" if node is None else "")
    return None


def _look(order: NodeOrder, nodes: Sequence[NodeInfo]) -> NodeInfo | None:
    """The node while it is out. None: it is not, or there is none of this name, and the order says so."""
    node = next((node for node in nodes if node.name == order.node), None)
    if node is None:
        _end(order, "no_such_node")
    elif not is_out(node.state):
        _end(order)
    else:
        return node
    return None


def _end(order: NodeOrder, reason: str = "") -> None:
    state = NodeOrder.State.REFUSED if reason else NodeOrder.State.DONE
    ended = NodeOrder.objects.filter(pk=order.pk, state=NodeOrder.State.ASKED)
    ended.update(state=state, reason=reason[:500], ended_at=now())
