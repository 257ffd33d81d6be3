"""Asking the cluster's worker for what the web cannot do itself: it never talks to Slurm."""

from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.audit.context import acting
from portal.outbox.services import message_write
from portal.people.models import User
from portal.people.rules import is_operator
from quotas.actors import actor_key
from scheduler.settlement.models import Reconciliation

REASON_LIMIT = 400


def missing_keep_ask(*, reconciliation_id: int, reason: str, actor: User) -> None:
    """The worker keeps the charges of what that reconciliation saw missing, and of no more.

    Raises Http404 for everybody but operators, ValueError without a reason.
    """
    if not is_operator(actor):
        raise Http404
    reason = " ".join(reason.split())[:REASON_LIMIT]
    if not reason:
        raise ValueError("a reason is needed")
    found = get_object_or_404(Reconciliation.objects.select_related("cluster"), pk=reconciliation_id)
    with transaction.atomic(), acting(actor, "missing_keep_ask"):
        message_write(
            topic="settlement.keep",
            key=f"{found.cluster.name}:{found.pk}",
            payload={
                "cluster": found.cluster.name,
                "seen_gpu_seconds": found.keepable_gpu_seconds,
                "reason": reason,
                "actor": actor_key(actor),
            },
            queue=f"cluster.{found.cluster.name}",
        )
