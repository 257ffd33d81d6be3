from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.outbox.models import Message
from portal.outbox.registry import handler
from portal.people.models import Organisation, User


@handler("people.invitation")
def invitation_send(message: Message) -> None:
    """Tells a new person where to set a password. The mail carries no secret: the reset mail does, minutes before
    use.
    """
    user = User.objects.get(pk=message.payload["user"])
    organisation = Organisation.objects.get(pk=message.payload["organisation"])
    address = settings.SITE_URL.rstrip("/") + reverse("account_reset_password")
    with translation.override(user.language):
        text = render_to_string(
            "people/mail/invitation.txt", {"user": user, "organisation": organisation, "address": address}
        )
        send_mail(_("Your account on Saola"), text, None, [user.email])
