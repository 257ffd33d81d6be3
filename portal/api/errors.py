"""What the API answers where it cannot do what was asked: always the same shape, in the person's language.

    {"errors": [{"code": "balance", "message": "…", "field": "time_limit", "fixes": [{"field": …, "value": …, …}]}]}

`code` never changes with the language. `field` is the request's field that it is about, null where it is about all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults
from rest_framework import exceptions as rest

from portal.web import views as pages

ROOT = "/api/"


@dataclass(frozen=True)
class Way:
    """A change of one field that would make it fit."""

    field: str
    value: str
    label: str


@dataclass(frozen=True)
class Error:
    code: str
    message: str
    field: str | None = None
    fixes: tuple[Way, ...] = ()


class Refused(rest.APIException):
    """Answered instead of what was asked."""

    def __init__(self, status: int, errors: Iterable[Error], headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        super().__init__([error.message for error in self.errors])

    @classmethod
    def one(cls, status: int, code: str, message: str, *, field: str | None = None, **headers: str) -> "Refused":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, [Error(code, message, field)], named)

    def response(self) -> JsonResponse:
        body = {"errors": [asdict(error) for error in self.errors]}
        return JsonResponse(body, status=self.status_code, headers=self.headers)


_KNOWN = (
    (Http404, 404, "not_found", gettext_lazy("This does not exist, or it is not yours to see.")),
    (RequestDataTooBig, 413, "too_large", gettext_lazy("The request is too large.")),
    (UnreadablePostError, 400, "body", gettext_lazy("The request did not arrive whole.")),
    (rest.ParseError, 400, "json", gettext_lazy("The body is no JSON that can be read here.")),
    (rest.UnsupportedMediaType, 415, "content_type", gettext_lazy("Send JSON: “Content-Type: application/json”.")),
)


def refusal(exc: Exception) -> Refused | None:
    """None: it is no answer but a fault of ours (500)."""
    if isinstance(exc, Refused):
        return exc
    for kind, status, code, words in _KNOWN:
        if isinstance(exc, kind):
            return Refused.one(status, code, str(words))
    if not isinstance(exc, rest.APIException):
        return None
    headers = {"WWW_Authenticate": exc.auth_header} if hasattr(exc, "auth_header") else {}
    return Refused.one(exc.status_code, exc.get_codes(), str(exc.detail), **headers)


def answered(exc: Exception, context: Mapping[str, Any] | None = None) -> HttpResponse | None:
    """What an endpoint answers to an exception."""
    refused = refusal(exc)
    return refused.response() if refused else None


# --- the site's handlers ------------------------------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith(ROOT):
        return defaults.bad_request(request, exception)
    return answered(exception) or Refused.one(400, "request", _("The request cannot be read.")).response()


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    is_ours = request.path.startswith(ROOT)
    return (is_ours and answered(Http404())) or pages.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith(ROOT):
        return pages.server_error(request)
    text = _("Something broke on our side. It was written to the log. Nothing was charged by this.")
    return Refused.one(500, "server_error", text).response()
