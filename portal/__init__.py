"""The ground floor: people, audit, outbox, web shell, API ground. It imports none of the other packages."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
