from celery import shared_task
from django.conf import settings

from monitoring.rollups.prometheus import Prometheus
from monitoring.watching import services
from portal.locks import LockSpace, held_if_free

TIMEOUT_S = 20


@shared_task
def watch() -> None:
    """Every minute, one at a time."""
    with held_if_free(LockSpace.WATCHING, 0) as is_ours:
        if is_ours:
            url = settings.PROMETHEUS_URL
            services.watch(Prometheus(url, timeout_s=TIMEOUT_S) if url else None)
