"""Mails about tokens. None of them holds a token."""

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from portal.api.models import Token
from portal.clock import centre_zone, now
from portal.outbox.models import Message
from portal.outbox.registry import handler


@handler("api.token_made")
def made_send(message: Message) -> None:
    """So that nobody makes one unseen for somebody else."""
    token = Token.objects.select_related("user", "project").get(pk=message.payload["token"])
    _send(token, "api/mail/made.txt", made=True)


@handler("api.token_ending")
def ending_send(message: Message) -> None:
    """Some days before its end; nothing about one that opens nothing any more."""
    token = Token.objects.select_related("user", "project").filter(pk=message.payload["token"]).first()
    if token is not None and token.is_live(now()) and token.user.is_active:
        _send(token, "api/mail/ending.txt", made=False)


def _send(token: Token, template: str, *, made: bool) -> None:
    address = settings.SITE_URL.rstrip("/") + reverse("api:tokens")
    with translation.override(token.user.language), timezone.override(centre_zone()):
        title = _("A new API token: %(token)s") if made else _("Your API token ends soon: %(token)s")
        text = render_to_string(template, {"token": token, "user": token.user, "address": address})
        send_mail(title % {"token": token.name}, text, None, [token.user.email])
