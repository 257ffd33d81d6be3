"""How often one token may ask. Counted in Redis, in whole minutes; while Redis is away nobody is kept from working."""

import logging

from django.conf import settings
from django.core.cache import caches
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from portal.api.errors import Refused
from portal.clock import now

logger = logging.getLogger(__name__)

WINDOW_S = 60


def request_count(token_id: int) -> None:
    """Raises Refused (429) with the seconds after which it may ask again."""
    window, passed_s = divmod(int(now().timestamp()), WINDOW_S)
    try:
        asked = _counted(f"api:asked:{token_id}:{window}")
    except (RedisError, OSError) as error:
        logger.warning("api: requests are not counted: %s", error)
        return
    if asked > settings.API_REQUESTS_A_MINUTE:
        wait_s = WINDOW_S - passed_s
        text = _("This token asks too often: at most %(most)d times a minute. Try again in %(wait)d seconds.")
        figures = {"most": settings.API_REQUESTS_A_MINUTE, "wait": wait_s}
        raise Refused.one(429, "too_many_requests", text % figures, Retry_After=str(wait_s))


def _counted(key: str) -> int:
    store = caches["redis"]
    try:
        return store.incr(key)
    except ValueError:  # the first of this minute
        return 1 if store.add(key, 1, timeout=2 * WINDOW_S) else store.incr(key)
