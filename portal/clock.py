"""The application's one clock. Services take the time from here and nowhere else, so that tests can travel in it.

The database's now() is never used for a business time: two clocks cannot be reconciled.
"""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(tz=UTC)


def centre_zone() -> ZoneInfo:
    """The zone in which a day is a calendar day (CENTRE_TIME_ZONE, Asia/Ho_Chi_Minh unless set)."""
    return ZoneInfo(settings.CENTRE_TIME_ZONE)


def centre_date(moment: datetime) -> date:
    """The centre's calendar day on which an aware moment falls."""
    return moment.astimezone(centre_zone()).date()
