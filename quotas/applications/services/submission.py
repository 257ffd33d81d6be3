"""Submitting, withdrawing, returning for changes, submitting again. Each happens once: the state is compared and set
under the application's lock, and the second of two people is told what the first did.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_zone, now
from portal.people.models import Organisation, User
from portal.people.rules import manages
from quotas.applications.checks import problems_of
from quotas.applications.errors import CallClosed, Incomplete, Invalid, NotManager, NotReturner, OtherPart
from quotas.applications.fields import COLUMNS, fields_of
from quotas.applications.grace import RESUBMIT_DAYS, deadline_of, grace_minutes
from quotas.applications.models import Application, Comment, Submission
from quotas.applications.registry import resubmissions, returns, withdrawals
from quotas.applications.risk import risk_of
from quotas.applications.rules import may_return, may_submit
from quotas.applications.selectors import answer_values, attachments_of
from quotas.applications.services.drafting import answers_save, application_lock, check_writing, draft_create
from quotas.applications.services.states import application_state_move, people_tell
from quotas.errors import constraint_of
from quotas.programmes.models import Programme
from quotas.texts import is_plain_text

State = Application.State
WRITTEN = [State.DRAFT, State.RETURNED]
COMMENT_LENGTH = 4_000


def application_submit(
    *,
    person: User,
    organisation: Organisation,
    programme: Programme,
    project_title: str,
    purpose: str,
    gpu_type: str,
    gpu_hours: int,
    starts_on: date,
    ends_on: date,
) -> Application:
    """Asks a programme for GPU-hours in one go and without a call: nothing but what a voucher needs is asked for.

    For an organisation that the person manages. Raises NotManager, Invalid (with the field that is wrong).
    """
    if not manages(person, organisation):
        raise NotManager(field="organisation")
    texts = {
        "project_title": project_title,
        "purpose": purpose,
        "gpu_type": gpu_type,
        "gpu_hours": str(gpu_hours),
        "starts_on": starts_on.isoformat(),
        "ends_on": ends_on.isoformat(),
    }
    with transaction.atomic(), acting(person, "application_submit"):
        application = draft_create(person=person, organisation=organisation, programme=programme)
        answers_save(person=person, application=application, texts=texts)
        try:
            return draft_submit(person=person, application=application)
        except Incomplete as error:
            first = error.problems[0]
            raise Invalid(first.message, field=first.key or "organisation") from error


def draft_submit(*, person: User, application: Application) -> Application:
    """Submits a draft, or a returned application again: all of it, once.

    Raises NotManager, WrongState (somebody was first), CallClosed, OtherPart (of the person, in an earlier round),
    Incomplete (with everything that is missing).
    """
    if not may_submit(person, application):
        raise NotManager
    with transaction.atomic(), acting(person, "draft_submit"):
        locked = application_lock(application)
        check_writing(person, locked)
        _check_deadline(locked)
        fields, answers = fields_of(locked), answer_values(locked)
        attachments = attachments_of(locked)
        files = {one.key for one in attachments if one.key}
        if problems := problems_of(locked, fields, answers, files):
            raise Incomplete(problems)
        moment = now()
        _submitted_by(person, locked, submitted_at=locked.submitted_at or moment, **_columns(answers))
        Submission.objects.create(
            application=locked,
            number=locked.submissions.count() + 1,
            question_set=locked.question_set,
            answers={key: answers[key] for key in fields if key in answers},
            attachments=[
                {"file": str(one.file_id), "name": one.file.name, "sha256": one.file.sha256, "key": one.key}
                for one in attachments
            ],
            submitted_by=person,
            submitted_at=moment,
        )
        if locked.submissions.count() > 1:
            resubmissions.follow(locked, person)
        people_tell(locked, by=person)
    return locked


def _submitted_by(person: User, application: Application, **columns: Any) -> None:
    """Whoever submits is the applicant from now on, and so has no other part in it: the database's own rule."""
    try:
        with transaction.atomic():
            application_state_move(application, WRITTEN, State.SUBMITTED, applicant=person, resubmit_by=None, **columns)
    except IntegrityError as error:
        if constraint_of(error) != "part_one_a_person":  # of quotas.reviews
            raise
        raise OtherPart(_("You have another part in this application, so another manager submits it.")) from error


def application_withdraw(*, person: User, application: Application, reason: str = "") -> None:
    """Takes an undecided application back, a draft too; a proposed decision falls with it. Raises NotManager, Invalid,
    WrongState.
    """
    if not may_submit(person, application):
        raise NotManager
    _check_text(reason, "reason", required=False)
    with transaction.atomic(), acting(person, "application_withdraw"):
        before = [*WRITTEN, State.SUBMITTED, State.PROPOSED]
        application_state_move(application, before, State.WITHDRAWN, reason=reason.strip())
        withdrawals.follow(application, person)
        people_tell(application, by=person)


def application_return(
    *, person: User, application: Application, comments: Mapping[str, str], reason: str
) -> Application:
    """An operator returns a submitted application for changes, with comments beside the fields (texts by their keys).

    It can be submitted again for RESUBMIT_DAYS days, whether its call is still open or not. Returning what is returned
    adds comments and begins those days anew. Raises NotReturner, Invalid (with the field), WrongState.
    """
    if not may_return(person, application):
        raise NotReturner
    _check_text(reason, "reason")
    said = {key: text.strip() for key, text in comments.items() if text.strip()}
    fields = fields_of(application)
    for key, text in said.items():
        if key not in fields and key != "attachments":
            raise Invalid(_("This question is not asked any more."), field=key)
        _check_text(text, key)
    with transaction.atomic(), acting(person, "application_return"):
        moment = now()
        application_state_move(
            application,
            [State.SUBMITTED, State.RETURNED],
            State.RETURNED,
            reason=reason.strip(),
            resubmit_by=moment + timedelta(days=RESUBMIT_DAYS),
        )
        Comment.objects.bulk_create(
            Comment(application=application, key=key, text=text, written_by=person, written_at=moment)
            for key, text in said.items()
        )
        returns.follow(application, person)
        people_tell(application, by=person)
    return application


def comment_resolve(*, person: User, comment: Comment, resolved: bool = True) -> Comment:
    """Marks a comment as resolved, or not. Raises NotWriter, WrongState."""
    with transaction.atomic(), acting(person, "comment_resolve"):
        check_writing(person, application_lock(comment.application))
        comment.resolved_by, comment.resolved_at = (person, now()) if resolved else (None, None)
        comment.save(update_fields=["resolved_by", "resolved_at"])
    return comment


def _columns(answers: Mapping[str, Any]) -> dict[str, Any]:
    """What decisions, lists and vouchers need, from the answers of a complete application."""
    columns: dict[str, Any] = {key: answers.get(key) or "" for key in COLUMNS}
    columns |= {key: date.fromisoformat(answers[key]) for key in ("starts_on", "ends_on")}
    return columns | {"risk_tier": str(risk_of(answers).tier)}


def _check_deadline(application: Application) -> None:
    deadline = deadline_of(application)
    if not deadline.is_over or deadline.last_at is None or deadline.closes_at is None:
        return
    closed = date_format(deadline.closes_at.astimezone(centre_zone()), "DATETIME_FORMAT")
    if application.state == State.RETURNED:
        raise CallClosed(
            _("The time to submit it again ended on %(when)s. What you wrote stays; ask the centre for more time.")
            % {"when": closed}
        )
    raise CallClosed(
        _(
            "The call closed on %(when)s, and the %(minutes)d minutes after it are over. "
            "What you wrote stays, and you can take it over into another call."
        )
        % {"when": closed, "minutes": grace_minutes()}
    )


def _check_text(text: str, field: str, *, required: bool = True) -> None:
    if (required and not text.strip()) or len(text) > COMMENT_LENGTH or not is_plain_text(text):
        raise Invalid(_("Give the reason, in at most 4,000 characters without control characters."), field=field)
