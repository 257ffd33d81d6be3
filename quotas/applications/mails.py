"""What the applicant is told. The outbox's "mail.send" delivers it: to, subject, body."""

from django.conf import settings
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from quotas.applications.models import Decision
from quotas.units import gpu_hours_text


def decision_mail(decision: Decision) -> dict[str, object]:
    """The payload of the mail about a confirmed decision, in the active language."""
    application = decision.application
    address = settings.SITE_URL.rstrip("/") + reverse("applications:detail", args=[application.pk])
    facts = {
        "name": application.applicant.full_name,
        "title": application.project_title,
        "programme": application.programme.name,
        "hours": gpu_hours_text(decision.awarded_gpu_seconds),
        "gpu_type": application.gpu_type,
        "from": date_format(application.starts_on),
        "to": date_format(application.ends_on),
        "reason": decision.reason,
        "address": address,
    }
    if decision.outcome == Decision.Outcome.AWARD:
        subject = _("Your application was awarded: %(title)s") % facts
        body = _(
            "Dear %(name)s,\n\n%(programme)s awards %(hours)s GPU-hours of %(gpu_type)s to “%(title)s”, from "
            "%(from)s to %(to)s.\n\nReason: %(reason)s\n\nYou can add the people of the project and submit jobs "
            "now:\n%(address)s\n"
        )
    else:
        subject = _("Your application was refused: %(title)s") % facts
        body = _("Dear %(name)s,\n\n%(programme)s does not support “%(title)s”.\n\nReason: %(reason)s\n\n%(address)s\n")
    return {"to": [application.applicant.email], "subject": subject, "body": body % facts}
