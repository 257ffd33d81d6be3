from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from portal.audit.context import answering


class HistoryMiddleware:
    """Whoever is signed in did what a request changes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with answering(request):
            return self.get_response(request)
