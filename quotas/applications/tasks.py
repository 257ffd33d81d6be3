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
from quotas.applications import services
from quotas.applications.fields import fields_of
from quotas.applications.models import Application


@shared_task
def attachments_drop() -> int:
    """What was taken away from drafts; beat asks every hour."""
    return services.attachments_drop(actor="worker:default")


@handler("applications.moved")
def moved_send(message: Message) -> None:
    """Tells one person what happened with an application that he or she writes, in that person's language."""
    said = message.payload
    application = Application.objects.select_related("organisation", "programme", "call", "question_set").get(
        pk=said["application"]
    )
    people = User.objects.in_bulk([said["user"], said["by"]])
    person = people[said["user"]]
    with translation.override(person.language):
        context = {
            "application": application,
            "person": person,
            "by": people[said["by"]],
            "state": said["state"],
            "reason": said["reason"],
            "is_again": said["is_again"],
            "comments": _comments(application) if said["state"] == Application.State.RETURNED else [],
            "address": settings.SITE_URL.rstrip("/") + reverse("applications:detail", args=[application.pk]),
        }
        subject = _subject(str(said["state"]), bool(said["is_again"])) % {"title": application}
        text = render_to_string("applications/mail/moved.txt", context)
        send_mail(subject, text, None, [person.email])


def _subject(state: str, is_again: bool) -> str:
    if state == Application.State.RETURNED:
        return _("Please change your application: %(title)s")
    if state == Application.State.WITHDRAWN:
        return _("Application withdrawn: %(title)s")
    return _("Application submitted again: %(title)s") if is_again else _("Application submitted: %(title)s")


def _comments(application: Application) -> list[tuple[str, str]]:
    """What is to be changed, with the field that it is about."""
    labels = {key: str(one.label) for key, one in fields_of(application).items()}
    rows = application.comments.filter(resolved_at__isnull=True)
    return [(labels.get(one.key, _("Attachments")), one.text) for one in rows]
