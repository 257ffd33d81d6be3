from celery import shared_task

from monitoring.attribution import services
from portal.locks import LockSpace, held_if_free


@shared_task
def exporters_pull() -> None:
    """Every few seconds: so that a short job's events are there before its summary is wanted. One at a time."""
    with held_if_free(LockSpace.ATTRIBUTION, 0) as is_ours:
        if is_ours:
            services.exporters_pull()
            services.intervals_follow()


@shared_task
def forget() -> None:
    services.forget()
