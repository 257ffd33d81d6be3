"""What the API answers where it cannot do what was asked: always the same shape, in the person's language.

    {"errors": [{"code": "balance", "message": "…", "field": "time_limit", "fixes": [{"field": …, "value": …, …}]}]}

`code` never changes with the language. `field` is the request's field that it is about, null where it is about all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _

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


class Refused(Exception):
    """Answered instead of what was asked."""

    def __init__(self, status: int, errors: Iterable[Error], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        super().__init__(", ".join(error.code for error in self.errors))

    @classmethod
    def one(cls, status: int, code: str, message: str, *, field: str | None = None, **headers: str) -> "Refused":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, [Error(code, message, field)], named)

    def response(self) -> JsonResponse:
        body = {"errors": [asdict(error) for error in self.errors]}
        return JsonResponse(body, status=self.status, headers=self.headers)


def not_there() -> Refused:
    return Refused.one(404, "not_found", _("This does not exist, or it is not yours to see."))


# --- the site's handlers ------------------------------------------------------------------------------------------


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return not_there().response() if request.path.startswith(ROOT) else pages.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith(ROOT):
        return pages.server_error(request)
    text = _("Something broke on our side. It was written to the log. Nothing was charged by this.")
    return Refused.one(500, "server_error", text).response()
