from celery import shared_task

from portal.web import services


@shared_task
def heartbeat(queue: str) -> None:
    """The beat asks every worker every 10 seconds; /healthz says how long ago each answered."""
    services.heartbeat_record(queue=queue)
