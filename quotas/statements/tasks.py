"""What the worker does: close and issue, make files, send mails. Each may be asked for again at any time."""

from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.outbox.models import Message
from portal.outbox.registry import handler
from portal.people.models import User
from quotas.statements import services
from quotas.statements.models import Period, Statement
from quotas.statements.months import Month
from quotas.statements.renderers.document import month_text


@shared_task
def last_month_issue() -> int:
    """Beat asks every few minutes; from the second day of a month on, the last one is closed and issued."""
    return len(services.last_month_issue(actor="worker:default"))


@shared_task
def verify() -> bool:
    """Computes every issued statement anew and leaves what it found for the statements' pages."""
    return services.statements_verify().ok


@handler("statements.issue")
def issue(message: Message) -> None:
    """What an operator asked for: close the open months through this one and issue all that is not issued."""
    month = Month.read(message.payload["month"])
    services.periods_close(month=month, actor=message.payload["by"])
    for period in Period.objects.filter(month__lte=month.first, issued_at__isnull=True).order_by("month"):
        services.statements_issue(period=period, actor=message.payload["by"])


@handler("statements.files")
def files_make(message: Message) -> None:
    services.files_make(statement_id=message.payload["statement"])


@handler("statements.mail")
def mail_send(message: Message) -> None:
    """Tells a manager of the organisation that the statement is there, in the manager's language."""
    statement = Statement.objects.select_related("organisation", "period", "corrects").get(
        pk=message.payload["statement"]
    )
    user = User.objects.get(pk=message.payload["user"])
    address = settings.SITE_URL.rstrip("/") + reverse("statements:statement", args=[statement.number])
    with translation.override(user.language):
        month = month_text(str(Month.of(statement.period.month)))
        context = {"user": user, "statement": statement, "month": month, "address": address}
        text = render_to_string("statements/mail/issued.txt", context)
        subject = _("Statement %(number)s for %(month)s") % {"number": statement.number, "month": month}
        send_mail(subject, text, None, [user.email])
