"""An address of the API, on Django REST framework. What every one of them does first is named in the settings
(REST_FRAMEWORK): who asks, how often, may this token, what was sent.

    class Jobs(Endpoint):
        scopes = {"GET": {"read"}, "POST": {"submit"}}
        def get(self, request: ApiRequest) -> Response: …

A token is the only way in: the cookie of a browser's session opens nothing here, so no page of another site can use it
and no request needs a CSRF token. Nothing is read from or written to a session.
"""

from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Any, ClassVar, NoReturn

from django.http import Http404, UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.views import APIView

from portal.api.errors import Refused
from portal.api.models import Token
from portal.people.models import User

READ, SUBMIT, OPERATE = (str(scope) for scope in Token.Scope.values)

READ_OUT_BYTES, PART_BYTES = 64 << 20, 64 << 10


class ApiRequest(Request):
    """What an endpoint's methods get."""

    user: User
    auth: Token
    data: dict[str, Any]  # the body's JSON object; {} where there is none


class Endpoint(APIView):
    scopes: ClassVar[Mapping[str, Set[str]]] = {}  # by method: one of these is needed; a method without is not there
    is_public: ClassVar[bool] = False
    http_method_names = ["get", "head", "post"]

    def initial(self, request: Any, *args: Any, **parts: Any) -> None:
        super().initial(request, *args, **parts)
        if request.method == "POST":
            _read = request.data  # refused before anything is looked at, whether the method needs it or not
        if any("\0" in value for values in request.query_params.lists() for value in values[1]):
            raise Refused.one(400, "query", _("The address holds a character that no text has."))

    def check_permissions(self, request: Any) -> None:
        super().check_throttles(request)  # first: what a token may not do is counted, too
        super().check_permissions(request)

    def check_throttles(self, request: Any) -> None:
        """Done before the permissions."""

    def http_method_not_allowed(self, request: Any, *args: Any, **parts: Any) -> NoReturn:
        text = _("This address answers %(methods)s only.") % {"methods": ", ".join(sorted(self.scopes))}
        raise Refused.one(405, "method", text)

    def finalize_response(self, request: Any, response: Any, *args: Any, **parts: Any) -> HttpResponseBase:
        response = super().finalize_response(request, response, *args, **parts)
        response.headers.setdefault("Cache-Control", "no-store")
        if response.status_code >= 400:
            _read_out(request)
        return response


def _read_out(request: Request) -> None:
    """Whoever is still sending hears no answer before the end. Nobody is listened to for ever, though."""
    with suppress(UnreadablePostError):
        for _part in range(0, READ_OUT_BYTES, PART_BYTES):
            if not request.read(PART_BYTES):
                return


def covered(request: ApiRequest, project_id: int) -> None:
    """Raises Http404 where the token is for another project only: to it, nothing else exists."""
    if not request.auth.covers(project_id):
        raise Http404
