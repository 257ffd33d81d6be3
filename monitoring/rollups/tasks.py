from celery import shared_task
from django.conf import settings

from monitoring.rollups import runs, windows
from monitoring.rollups.prometheus import Prometheus
from portal.locks import LockSpace, held_if_free

RECORDS_BUDGET_S = 15.0
WINDOWS_BUDGET_S = 40.0


@shared_task
def rollup() -> None:
    """What is due, for a minute at most; the rest the next time. One at a time, each step safe to repeat."""
    with held_if_free(LockSpace.ROLLUP, 0) as is_ours:
        if not is_ours:
            return
        windows.changes_note()
        windows.live_open()
        runs.records_follow(RECORDS_BUDGET_S)
        if settings.PROMETHEUS_URL:
            windows.windows_count(Prometheus(settings.PROMETHEUS_URL), WINDOWS_BUDGET_S)


@shared_task
def forget() -> None:
    windows.windows_forget()
