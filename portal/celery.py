"""Celery: wake-ups only. The truth about work to do lies in PostgreSQL (outbox, job states), never in a queue."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("saola")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
