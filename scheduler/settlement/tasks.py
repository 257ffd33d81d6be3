"""The cycle of a cluster's worker. It alone talks to that Slurm, one cycle at a time."""

import logging

from celery import shared_task
from django.db import connection

from portal.outbox.models import Message
from portal.outbox.registry import handler
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.models import Cluster
from scheduler.settlement.cycle import cycle_lock, cycle_run
from scheduler.settlement.errors import MoreMissing
from scheduler.settlement.services import missing_keep

logger = logging.getLogger(__name__)


@shared_task(name="scheduler.settlement.tasks.cluster_cycle")
def cluster_cycle(name: str) -> None:
    """Brings the portal and one cluster's Slurm to the same state. Idempotent; a second one at a time does nothing."""
    cluster = Cluster.objects.filter(name=name, is_active=True).first()
    if cluster is None:
        return  # registered later, or switched off
    with cycle_lock(cluster) as is_ours:
        if is_ours:
            cycle_run(cluster, adapter_for(name))
    connection.close_if_unusable_or_obsolete()


@handler("settlement.keep")
def missing_keep_asked(message: Message) -> None:
    """An operator said that the charges of what slurmdbd lost stand."""
    payload = message.payload
    try:
        missing_keep(
            cluster=Cluster.objects.get(name=payload["cluster"]),
            seen_gpu_seconds=payload["seen_gpu_seconds"],
            reason=payload["reason"],
            actor=payload["actor"],
        )
    except MoreMissing as error:
        logger.warning("settlement: %s: not kept: %s", payload["cluster"], error)  # the page shows the new figure
