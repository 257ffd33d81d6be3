from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.outbox.models import Message
from portal.outbox.registry import handler
from quotas.reviews.models import Decision


@handler("reviews.decided")
def decided_send(message: Message) -> None:
    """Tells the applicant what was decided and why, in the applicant's language."""
    decision = Decision.objects.select_related("application__applicant", "application__programme").get(
        pk=message.payload["decision"]
    )
    application = decision.application
    address = settings.SITE_URL.rstrip("/") + reverse("applications:detail", args=[application.pk])
    with translation.override(application.applicant.language):
        if decision.outcome == Decision.Outcome.AWARD:
            subject = _("Your application was awarded: %(title)s") % {"title": application.project_title}
        else:
            subject = _("Your application was refused: %(title)s") % {"title": application.project_title}
        context = {"decision": decision, "application": application, "address": address}
        text = render_to_string("reviews/mail/decided.txt", context)
        send_mail(subject, text, None, [application.applicant.email])
