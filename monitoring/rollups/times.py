"""Windows of time, and how long they are kept."""

from datetime import UTC, datetime, timedelta

from django.conf import settings

from portal.clock import now

WINDOW = timedelta(minutes=15)


def window_of(moment: datetime) -> datetime:
    """The beginning of the window that a moment lies in."""
    return datetime.fromtimestamp(moment.timestamp() // WINDOW.total_seconds() * WINDOW.total_seconds(), UTC)


def kept_since() -> datetime:
    """Older windows are gone, and what was counted in them stands."""
    return window_of(now() - timedelta(days=settings.WINDOWS_KEPT_DAYS))
