from typing import Any

from celery import shared_task

from scheduler.clusters.adapters import adapter_for
from scheduler.jobs.starts import asking


@shared_task
def starts_answer(cluster: str, questions: list[dict[str, Any]]) -> None:
    """When one person's shapes would start, for the form. Nobody waits for it and nothing is lost with it."""
    found = [asking.Question(**question) for question in questions]
    asking.answer(cluster, found, adapter=adapter_for(cluster))
