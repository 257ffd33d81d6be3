from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Local accounts, made by operators and managers: nobody signs up alone."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
