from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from portal.api.errors import ROOT, answered
from portal.files.units import size_text


class BodyLimitMiddleware:
    """Refuses a request whose body is announced as larger than FILES_BODY_LIMIT_BYTES, without reading it (413).

    Stands after the language is known and before anything asks for the form: the body is not touched.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        announced = request.META.get("CONTENT_LENGTH") or "0"
        if not announced.isdecimal() or int(announced) <= settings.FILES_BODY_LIMIT_BYTES:
            return self.get_response(request)
        if request.path.startswith(ROOT) and (told := answered(RequestDataTooBig())):
            return told
        limits = {"sent": size_text(int(announced)), "limit": size_text(settings.FILES_LIMIT_BYTES)}
        context = {
            "code": 413,
            "title": _("This is too large to upload"),
            "text": _("%(sent)s were sent; a file may have at most %(limit)s. Nothing was stored.") % limits,
        }
        return HttpResponse(render_to_string("web/error.html", context), status=413)
