from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest, HttpResponse

from portal.people.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Local accounts, made by operators and managers: nobody signs up alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def post_login(self, request: HttpRequest, user: User, **options: Any) -> HttpResponse:
        """A new browser speaks the language of the person's profile from the first page on."""
        from portal.web.views import language_cookie_set  # noqa: PLC0415  web imports people

        response = super().post_login(request, user, **options)
        language_cookie_set(response, user.language)
        return response
