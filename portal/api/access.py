"""What every request to the API passes: who asks, how often, may this token, what was sent."""

import io
import json
import logging
import re
from typing import IO, Any

from django.conf import settings
from django.core.cache import caches
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.throttling import BaseThrottle

from portal.api.errors import Refused
from portal.api.models import Token
from portal.api.selectors import token_known
from portal.api.services import token_used
from portal.audit.context import known_add
from portal.clock import now
from portal.people.models import User

logger = logging.getLogger(__name__)
_BEARER = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)
WINDOW_S = 60


class Bearer(BaseAuthentication):
    """By the token in the request's header. From here on the answer is in its person's language."""

    def authenticate(self, request: Any) -> tuple[User, Token]:
        given = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if given is None:
            raise AuthenticationFailed(_("Send a token: “Authorization: Bearer saola_…”."), "token_missing")
        token = token_known(given[1])
        if token is None or not token.user.is_active:
            raise AuthenticationFailed(_("There is no such token."), "token_unknown")
        translation.activate(token.user.language)
        if token.revoked_at is not None:
            raise AuthenticationFailed(_("This token was revoked."), "token_revoked")
        if not token.is_live(now()):
            ended = date_format(token.expires_at, "SHORT_DATE_FORMAT")
            text = _("This token ended on %(day)s. Make a new one.") % {"day": ended}
            raise AuthenticationFailed(text, "token_expired")
        if request.method == "POST":
            known_add(token=token.pk)  # beside the person, in every row of the history
        token_used(token)
        return token.user, token

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"


class Scoped(BasePermission):
    """The endpoint names the scopes of each method; the token needs one of them. A method without any is not there."""

    def has_permission(self, request: Any, view: Any) -> bool:
        needed = view.scopes.get("GET" if request.method == "HEAD" else request.method)
        if needed is None:
            view.http_method_not_allowed(request)
        words = {"scope": _(" or ").join(sorted(needed))}
        self.message, self.code = _("This token may not do that: it needs the scope %(scope)s.") % words, "scope"
        return not needed.isdisjoint(request.auth.scopes)


class PerToken(BaseThrottle):
    """How often one token may ask. Counted in Redis, in whole minutes, each in one step of Redis's own; while Redis is
    away nobody is kept from working."""

    def allow_request(self, request: Any, view: Any) -> bool:
        window, passed_s = divmod(int(now().timestamp()), WINDOW_S)
        try:
            is_allowed = _counted(f"api:asked:{request.auth.pk}:{window}") <= settings.API_REQUESTS_A_MINUTE
        except (RedisError, OSError) as error:
            logger.warning("api: requests are not counted: %s", error)
            return True
        if not is_allowed:
            text = _("This token asks too often: at most %(most)d times a minute. Try again in %(wait)d seconds.")
            figures = {"most": settings.API_REQUESTS_A_MINUTE, "wait": WINDOW_S - passed_s}
            raise Refused.one(429, "too_many_requests", text % figures, Retry_After=str(WINDOW_S - passed_s))
        return True


def _counted(key: str) -> int:
    store = caches["redis"]
    try:
        return store.incr(key)
    except ValueError:  # the first of this minute
        return 1 if store.add(key, 1, timeout=2 * WINDOW_S) else store.incr(key)


class StrictJson(JSONParser):
    """An object, in UTF-8 whatever else is announced: other codecs can make gigabytes of a small body."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        body = stream.read()
        try:
            sent = super().parse(io.BytesIO(body), parser_context={"encoding": "utf-8"})
            if b"\\u" in body:  # JSON may spell half a letter, which no text and no database has
                json.dumps(sent, ensure_ascii=False).encode()
        except (RecursionError, UnicodeEncodeError):
            raise ParseError from None
        if not isinstance(sent, dict):
            raise Refused.one(400, "json", _("The body must be a JSON object."))
        return sent
