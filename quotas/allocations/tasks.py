from celery import shared_task

from portal.clock import now
from quotas.allocations import services
from quotas.ledger.services import verification_run


@shared_task
def expire_ended() -> int:
    """Ends what is past its last day. Beat asks every few minutes; a day in the centre begins when it does there."""
    return services.ended_expire(actor="worker:default")


@shared_task
def ledger_verify() -> bool:
    """Adds the whole ledger up anew and leaves the result for /metrics, where an alert waits for it."""
    return verification_run(at=now()).ok
