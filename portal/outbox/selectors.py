from dataclasses import dataclass

from django.db.models import Count, Min, Q

from portal.clock import now
from portal.outbox.models import Message


@dataclass(frozen=True)
class Backlog:
    queue: str
    topic: str
    undelivered: int
    failing: int  # tried at least once and refused
    oldest_age_s: float


def backlogs() -> list[Backlog]:
    """What waits, by queue and topic."""
    moment = now()
    waiting = (
        Message.objects.filter(delivered_at__isnull=True)
        .values("queue", "topic")
        .annotate(undelivered=Count("id"), failing=Count("id", filter=Q(attempts__gt=0)), oldest=Min("created_at"))
        .order_by("queue", "topic")
    )
    return [
        Backlog(
            row["queue"], row["topic"], row["undelivered"], row["failing"], (moment - row["oldest"]).total_seconds()
        )
        for row in waiting
    ]
