from celery import shared_task

from portal.clock import now
from portal.files import services


@shared_task
def files_drop_unused() -> None:
    """Takes away what nothing refers to. Beat asks every hour."""
    services.files_drop_unused(actor="worker:default")


@shared_task
def files_verify() -> bool:
    """Reads every stored file and leaves the result for /metrics, where an alert waits for it. Beat asks every day."""
    return services.verification_run(at=now()).ok
