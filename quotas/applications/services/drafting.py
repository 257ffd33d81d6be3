"""Writing an application: begun once, then field by field, by several people at once.

Every field has a version. Who saves says which version he or she saw; where another one stands, nothing is written and
both texts are shown. A text that the field cannot have is not written either: what stood there stays.
"""

from collections.abc import Mapping
from contextlib import suppress

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import Membership, Organisation, User
from portal.people.rules import manages
from quotas.applications.checks import eligibility
from quotas.applications.errors import CallClosed, EditedMeanwhile, Invalid, NotManager, NotWriter, WrongState
from quotas.applications.fields import Field, fields_of
from quotas.applications.grace import is_open
from quotas.applications.models import Answer, Application, Writer
from quotas.applications.rules import may_submit, may_write
from quotas.applications.values import value_of
from quotas.programmes.models import Call, Programme
from quotas.programmes.selectors import questions_current


def application_begin(
    *,
    person: User,
    organisation: Organisation,
    call: Call,
    answers: Mapping[str, str] | None = None,
    copy_of: Application | None = None,
) -> Application:
    """A draft of an organisation that the person manages, for a call that is open, with some texts in it.

    `copy_of`: another application of the organisation, whose answers are taken over where the call asks the same.
    Raises NotManager, CallClosed, Invalid (with the field that is wrong).
    """
    if not manages(person, organisation):
        raise NotManager(field="organisation")
    if not is_open(call):
        raise CallClosed(_("This call is not open: no application can be begun now."), field="call")
    if why_not := eligibility(organisation, call.programme):
        raise Invalid(why_not, field="organisation")
    with transaction.atomic(), acting(person, "application_begin"):
        application = draft_create(person=person, organisation=organisation, programme=call.programme, call=call)
        if copy_of is not None and copy_of.organisation_id == organisation.pk:
            _answers_copy(person, copy_of, application)
        answers_save(person=person, application=application, texts=answers or {})
    return application


def draft_create(
    *, person: User, organisation: Organisation, programme: Programme, call: Call | None = None
) -> Application:
    """The empty draft. Who may have one is decided before."""
    moment = now()
    return Application.objects.create(
        programme=programme,
        call=call,
        question_set=questions_current(call) if call else None,
        organisation=organisation,
        applicant=person,
        starts_on=centre_date(moment),
        ends_on=centre_date(moment),
        state_at=moment,
        created_at=moment,
        updated_at=moment,
    )


def answer_save(*, person: User, application: Application, key: str, text: str, version: int | None = None) -> Answer:
    """Saves the text of one field. `version` is the one that the person saw; None saves over any.

    Saving what stands there already changes nothing, whatever the version. Raises NotWriter, WrongState, Invalid,
    EditedMeanwhile (with what stands there).
    """
    with transaction.atomic(), acting(person, "answer_save"):
        locked = application_lock(application)
        check_writing(person, locked)
        return _answer_write(person, locked, field_of(fields_of(locked), key), text, version)


def answers_save(*, person: User, application: Application, texts: Mapping[str, str]) -> list[Answer]:
    """Saves several fields over whatever stands there, all or none. Raises as `answer_save` does."""
    with transaction.atomic(), acting(person, "answers_save"):
        locked = application_lock(application)
        check_writing(person, locked)
        fields = fields_of(locked)
        return [_answer_write(person, locked, field_of(fields, key), text, None) for key, text in texts.items()]


def questions_adopt(*, person: User, application: Application) -> Application:
    """Moves a draft to the newest version of its call's questions. Answers stay by key; those to questions that are not
    asked any more stay too, unseen. Raises NotWriter, WrongState.
    """
    with transaction.atomic(), acting(person, "questions_adopt"):
        locked = application_lock(application)
        check_writing(person, locked)
        if locked.call is not None:
            locked.question_set = questions_current(locked.call)
            locked.save(update_fields=["question_set"])
    return locked


# --- who writes -----------------------------------------------------------------------------------------------------


def writer_add(*, person: User, application: Application, user: User) -> Writer:
    """A manager lets a member of the organisation write the application, too. A second time changes nothing.

    Raises NotManager, Invalid.
    """
    if not may_submit(person, application):
        raise NotManager
    if not Membership.objects.filter(organisation=application.organisation, user=user).exists():
        raise Invalid(_("This person is not a member of the organisation."), field="user")
    with transaction.atomic(), acting(person, "writer_add"):
        return Writer.objects.get_or_create(application=application, user=user, defaults={"added_at": now()})[0]


def writer_remove(*, person: User, application: Application, user: User) -> None:
    """Raises NotManager."""
    if not may_submit(person, application):
        raise NotManager
    with transaction.atomic(), acting(person, "writer_remove"):
        Writer.objects.filter(application=application, user=user).delete()


# --- parts ----------------------------------------------------------------------------------------------------------


def application_lock(application: Application) -> Application:
    """The application as it is now, kept so until the end of the transaction: savers and submitters take turns."""
    rows = Application.objects.select_related("programme", "organisation", "call", "question_set")
    return rows.select_for_update(of=("self",), no_key=True).get(pk=application.pk)


def check_writing(person: User, application: Application) -> None:
    if not may_write(person, application):
        raise NotWriter
    if not application.is_written:
        raise WrongState(application.get_state_display())


def _answers_copy(person: User, source: Application, target: Application) -> None:
    """By key; an answer that the new field cannot have (another kind, another choice) is left out."""
    fields = fields_of(target)
    for known in source.answers.filter(key__in=list(fields), value__isnull=False):
        with suppress(Invalid):
            _answer_write(person, target, fields[known.key], str(known.value), None)


def field_of(fields: Mapping[str, Field], key: str) -> Field:
    """Raises Invalid where it is not asked."""
    if key not in fields:
        raise Invalid(_("This question is not asked any more."), field=key)
    return fields[key]


def _answer_write(person: User, application: Application, field: Field, text: str, version: int | None) -> Answer:
    value = value_of(field, text)
    known = Answer.objects.filter(application=application, key=field.key).select_related("edited_by").first()
    if known is None:
        known = Answer(application=application, key=field.key, version=0)
    if known.value == value:
        return known
    if version is not None and version != known.version:
        raise EditedMeanwhile(answer=known, text=text)
    known.value, known.version = value, known.version + 1
    known.edited_by, known.edited_at = person, now()
    known.save()
    if field.key == "project_title":
        application.project_title = str(value or "")
        application.save(update_fields=["project_title"])
    return known
