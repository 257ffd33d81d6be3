"""An address of the API. What every one of them does first is here: who asks, how often, may this token, what was sent.

    class Jobs(Endpoint):
        scopes = {"GET": {"read"}, "POST": {"submit"}}
        def get(self, request: ApiRequest) -> HttpResponse: …

A token is the only way in: the cookie of a browser's session opens nothing here, so no page of another site can use it
and no request needs a CSRF token. Nothing is read from or written to a session.
"""

import json
import re
from collections.abc import Mapping, Set
from typing import Any, ClassVar

import pghistory
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from portal.api.errors import Refused, not_there
from portal.api.models import Token
from portal.api.selectors import token_known
from portal.api.services import token_used
from portal.api.throttle import request_count
from portal.clock import now
from portal.people.models import Project, User

READ, SUBMIT, OPERATE = (str(scope) for scope in Token.Scope.values)
_BEARER = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)
_HALF_A_LETTER = re.compile(r"[\ud800-\udfff]")


class ApiRequest(HttpRequest):
    """What an endpoint's methods get."""

    user: User
    token: Token
    sent: dict[str, Any]  # the body's JSON object; {} where there is none


@method_decorator(csrf_exempt, name="dispatch")
class Endpoint(View):
    scopes: ClassVar[Mapping[str, Set[str]]] = {}  # by method: one of these is needed; a method without is not there
    is_public: ClassVar[bool] = False

    def dispatch(self, request: HttpRequest, *args: Any, **parts: Any) -> HttpResponseBase:
        try:
            return self._answer(request, *args, **parts)
        except Refused as refused:
            return self._finished(refused.response())
        except Http404:
            return self._finished(not_there().response())

    def _answer(self, request: Any, *args: Any, **parts: Any) -> HttpResponseBase:
        method = "GET" if request.method == "HEAD" else request.method
        if not self.is_public:
            self._enter(request)
        if method not in self.scopes:
            text = _("This address answers %(methods)s only.") % {"methods": ", ".join(sorted(self.scopes))}
            raise Refused.one(405, "method", text, Allow=", ".join(sorted(self.scopes)))
        if not self.is_public:
            _scope_check(request.token, self.scopes[method])
        request.sent = _sent(request) if method == "POST" else {}
        if any("\0" in value for values in request.GET.lists() for value in values[1]):
            raise Refused.one(400, "query", _("The address holds a character that no text has."))
        return self._finished(getattr(self, method.lower())(request, *args, **parts))

    def _enter(self, request: Any) -> None:
        request.token = _token(request)
        request.user = request.token.user
        translation.activate(request.user.language)
        if request.method == "POST":
            pghistory.context(token=request.token.pk)  # beside the person, in every row of the history
        request_count(request.token.pk)
        token_used(request.token)

    def _finished(self, response: HttpResponseBase) -> HttpResponseBase:
        response.headers["Content-Language"] = translation.get_language() or settings.LANGUAGE_CODE
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def covered(request: ApiRequest, project_id: int) -> None:
    """Raises Http404 where the token is for another project only: to it, nothing else exists."""
    if not request.token.covers(project_id):
        raise Http404


def project_of_token(request: ApiRequest) -> Project | None:
    return request.token.project


def _token(request: HttpRequest) -> Token:
    given = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if given is None:
        raise _stranger("token_missing", _("Send a token: “Authorization: Bearer saola_…”."))
    token = token_known(given[1])
    if token is None or not token.user.is_active:
        raise _stranger("token_unknown", _("There is no such token."))
    translation.activate(token.user.language)
    if token.revoked_at is not None:
        raise _stranger("token_revoked", _("This token was revoked."))
    if not token.is_live(now()):
        ended = date_format(token.expires_at, "SHORT_DATE_FORMAT")
        raise _stranger("token_expired", _("This token ended on %(day)s. Make a new one.") % {"day": ended})
    return token


def _stranger(code: str, text: str) -> Refused:
    return Refused.one(401, code, text, WWW_Authenticate="Bearer")


def _scope_check(token: Token, needed: Set[str]) -> None:
    if needed.isdisjoint(token.scopes):
        words = {"scope": _(" or ").join(sorted(needed))}
        raise Refused.one(403, "scope", _("This token may not do that: it needs the scope %(scope)s.") % words)


def _sent(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of the body. Raises Refused where it is anything else."""
    try:
        body = request.body
    except RequestDataTooBig:
        raise Refused.one(413, "too_large", _("The request is too large.")) from None
    except UnreadablePostError:
        raise Refused.one(400, "body", _("The request did not arrive whole.")) from None
    if not body:
        return {}
    if request.content_type != "application/json":
        raise Refused.one(415, "content_type", _("Send JSON: “Content-Type: application/json”."))
    try:
        text = body.decode()
        sent = json.loads(text, parse_constant=_no_number)
        # JSON may spell half a letter, which no text and no database has.
        if "\\u" in text and _HALF_A_LETTER.search(json.dumps(sent, ensure_ascii=False)):
            raise ValueError
    except (ValueError, RecursionError):
        raise Refused.one(400, "json", _("The body is no JSON that can be read here.")) from None
    if not isinstance(sent, dict):
        raise Refused.one(400, "json", _("The body must be a JSON object."))
    return sent


def _no_number(name: str) -> None:
    raise ValueError(name)
