from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from portal.clock import centre_zone
from portal.people.rules import roles_asked_once


class LanguageMiddleware:
    """Vietnamese first: the browser's Accept-Language is ignored; a person's own choice (a cookie) decides.

    Times on pages are the centre's, whatever the zone of the server.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
        language = chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        translation.activate(language)
        timezone.activate(centre_zone())
        request.LANGUAGE_CODE = language
        response = self.get_response(request)
        response.headers.setdefault(
            "Content-Language", translation.get_language() or language
        )  # a token's person's own
        patch_vary_headers(response, ("Cookie",))
        return response


class RolesMiddleware:
    """A page that only reads asks once for each role of its person, however many links and cards depend on it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        with roles_asked_once():
            return self.get_response(request)
