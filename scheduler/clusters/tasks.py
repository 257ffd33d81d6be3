"""What the cluster's worker does on an operator's order."""

from uuid import UUID

from portal.outbox.models import Message
from portal.outbox.registry import handler
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.upkeep import DRAIN_TOPIC, RESUME_TOPIC, node_drain, node_resume


@handler(RESUME_TOPIC)
def node_resume_asked(message: Message) -> None:
    """Raises ClusterError where Slurm does not answer: the relay comes again."""
    adapter = adapter_for(message.queue.removeprefix("cluster."))
    node_resume(order_id=UUID(message.payload["order"]), adapter=adapter)


@handler(DRAIN_TOPIC)
def node_drain_asked(message: Message) -> None:
    """Raises ClusterError where Slurm does not answer: the relay comes again."""
    adapter = adapter_for(message.queue.removeprefix("cluster."))
    node_drain(order_id=UUID(message.payload["order"]), adapter=adapter)
