"""How long until something: `{% load calls %}`.

{{ call.closes_at|left:moment }}   24 days; 30 hours; 12 minutes
"""

from datetime import datetime

from django import template
from django.utils.translation import ngettext

register = template.Library()

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60


@register.filter
def left(until: datetime, moment: datetime) -> str:
    """In the largest unit of which there are two, rounded down: nobody counts on time that is not there."""
    seconds = max(int((until - moment).total_seconds()), 0)
    if seconds >= 2 * DAY_S:
        return ngettext("%(n)d day", "%(n)d days", seconds // DAY_S) % {"n": seconds // DAY_S}
    if seconds >= 2 * HOUR_S:
        return ngettext("%(n)d hour", "%(n)d hours", seconds // HOUR_S) % {"n": seconds // HOUR_S}
    return ngettext("%(n)d minute", "%(n)d minutes", seconds // MINUTE_S) % {"n": seconds // MINUTE_S}
