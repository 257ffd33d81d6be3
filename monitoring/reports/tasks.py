from celery import shared_task

from monitoring.reports.services import quarters_publish


@shared_task
def publish() -> None:
    """What is settled of the nation's figures becomes public. Safe to repeat: a quarter is published once."""
    quarters_publish()
