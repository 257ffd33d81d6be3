from celery import shared_task

from quotas.allocations import services


@shared_task
def expire_ended() -> int:
    """Ends what is past its last day. Beat asks every few minutes; a day in the centre begins when it does there."""
    return services.ended_expire(actor="worker:default")
