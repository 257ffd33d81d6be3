"""Every step is told by mail, through the outbox; what is due is remembered once a day."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from portal.clock import centre_date, now
from portal.outbox.models import Message
from portal.outbox.registry import handler
from portal.outbox.services import message_write
from portal.people.models import CentreRole, User
from quotas.applications.models import Application
from quotas.proposals.rules import has_conflict
from quotas.reviews.models import Assignment, Decision

REMIND_DAYS_BEFORE = 3
State = Assignment.State


@handler("reviews.decided")
def decided_send(message: Message) -> None:
    """Tells the applicant what was decided and why, in the applicant's language."""
    decision = Decision.objects.select_related("application__applicant", "application__programme", "proposal").get(
        pk=message.payload["decision"]
    )
    application = decision.application
    with translation.override(application.applicant.language):
        if decision.outcome == Decision.Outcome.AWARD:
            subject = _("Your application was awarded: %(title)s") % {"title": application.project_title}
        else:
            subject = _("Your application was refused: %(title)s") % {"title": application.project_title}
        context = {
            "decision": decision,
            "application": application,
            "address": _address("applications:detail", application.pk),
        }
        text = render_to_string("reviews/mail/decided.txt", context)
        send_mail(subject, text, None, [application.applicant.email])


@handler("reviews.assigned")
def assigned_send(message: Message) -> None:
    """Asks a reviewer to say whether an interest binds, and to review. Names the organisation, not the application."""
    review = _review(message)
    if review.state not in (State.ASSIGNED, State.ACCEPTED) or _is_bound(review):
        return
    with translation.override(review.reviewer.language):
        organisation = review.application.organisation
        subject = _("An application of %(organisation)s waits for your review") % {"organisation": organisation}
        _send(review, subject, "reviews/mail/assigned.txt")


@handler("reviews.due")
def due_send(message: Message) -> None:
    """Reminds a reviewer."""
    review = _review(message)
    if review.state not in (State.ASSIGNED, State.ACCEPTED) or _is_bound(review):
        return
    with translation.override(review.reviewer.language):
        subject = _("Your review is due on %(day)s") % {"day": date_format(review.due_on)}
        _send(review, subject, "reviews/mail/due.txt")


@handler("reviews.returned")
def returned_send(message: Message) -> None:
    """Tells a reviewer that the text changes, and that scores are drafts again."""
    review = _review(message)
    if review.state == State.ENDED or _is_bound(review):
        return
    with translation.override(review.reviewer.language):
        _send(review, _("An application that you review was returned for changes"), "reviews/mail/returned.txt")


@handler("reviews.ended")
def ended_send(message: Message) -> None:
    """Tells a reviewer that nothing is to be done any more, and why."""
    review = _review(message)
    if review.state != State.ENDED:
        return
    with translation.override(review.reviewer.language):
        _send(review, _("A review is not needed any more"), "reviews/mail/ended.txt")


@handler("reviews.submitted")
def submitted_send(message: Message) -> None:
    """Tells the operators once an application has all the reviews it needs."""
    review = _review(message)
    application = review.application
    done = Assignment.objects.filter(application=application, state=State.SUBMITTED).count()
    if application.call is None or done != application.call.reviews_needed:
        return
    _tell_operators(
        application, gettext_noop("All reviews are in: %(title)s"), "reviews/mail/complete.txt", {"review": review}
    )


@handler("reviews.conflict")
def conflict_send(message: Message) -> None:
    """Tells the operators that an application lost a reviewer."""
    review = _review(message)
    _tell_operators(
        review.application,
        gettext_noop("A reviewer has a conflict of interest: %(title)s"),
        "reviews/mail/conflict.txt",
        {"review": review},
    )


@shared_task
def remind_due() -> int:
    """Once a review: three days before it is due, on the day, and a week after. Returns how many were asked for."""
    today = centre_date(now())
    days = {
        "before": today + timedelta(days=REMIND_DAYS_BEFORE),
        "on": today,
        "after": today - timedelta(days=7),
    }
    asked = 0
    for name, due_on in days.items():
        rows = Assignment.objects.filter(
            state__in=[State.ASSIGNED, State.ACCEPTED], due_on=due_on, application__state=Application.State.SUBMITTED
        )
        for pk in rows.values_list("pk", flat=True):
            with transaction.atomic():
                message_write(topic="reviews.due", key=f"{pk}:{due_on.isoformat()}:{name}", payload={"assignment": pk})
            asked += 1
    return asked


def _review(message: Message) -> Assignment:
    return Assignment.objects.select_related(
        "reviewer", "application__organisation", "application__call", "application__programme"
    ).get(pk=message.payload["assignment"])


def _is_bound(review: Assignment) -> bool:
    return has_conflict(review.reviewer, review.application.organisation)


def _address(name: str, *args: object) -> str:
    return settings.SITE_URL.rstrip("/") + reverse(name, args=args)


def _send(review: Assignment, subject: str, template: str) -> None:
    context = {"review": review, "application": review.application, "address": _address("reviews:review", review.pk)}
    send_mail(" ".join(subject.split()), render_to_string(template, context), None, [review.reviewer.email])


def _tell_operators(application: Application, subject: str, template: str, more: dict[str, object]) -> None:
    operators = User.objects.filter(centre_roles__role=CentreRole.Role.OPERATOR, is_active=True)
    for person in operators:
        if has_conflict(person, application.organisation):
            continue
        with translation.override(person.language):
            context = {
                "person": person,
                "application": application,
                "address": _address("reviews:application", application.pk),
                **more,
            }
            line = _(subject) % {"title": application.project_title}
            send_mail(" ".join(line.split()), render_to_string(template, context), None, [person.email])
