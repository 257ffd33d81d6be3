"""Celery: wake-ups only. The truth about work to do lies in PostgreSQL (outbox, job states), never in a queue."""

import os
import sys

from celery import Celery
from celery.signals import task_postrun, task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("saola")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Celery itself would close the database connection before and after each task; opening one costs more than most tasks
# do. Django's rule is used instead: kept for CONN_MAX_AGE, looked at before it is used again.
app.conf.CELERY_DB_REUSE_MAX = sys.maxsize // 2


@task_prerun.connect
@task_postrun.connect
def _close_old_connections(**_details: object) -> None:
    close_old_connections()
