"""Applications, as far as a person may see them, and what stands in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import Membership, Organisation, User
from portal.people.rules import Person, is_operator, manages
from portal.people.selectors import organisations_managed
from quotas.applications.fields import SECTIONS, Field, Kind, Section, fields_in, fields_of
from quotas.applications.models import Answer, Application, Attachment, Comment, Submission
from quotas.applications.rules import may_return, read_by, written_by
from quotas.applications.values import shown_of
from quotas.programmes.models import Call, QuestionSet
from quotas.programmes.selectors import calls_open

State = Application.State
WAITING = (State.SUBMITTED, State.PROPOSED)
UNDECIDED = (State.DRAFT, State.RETURNED, *WAITING)


@dataclass(frozen=True)
class Filters:
    state: str = ""
    call: str = ""  # slug
    sector: str = ""
    risk: str = ""
    query: str = ""  # words of the title or the organisation's name, or the number
    order: str = ""  # a key of ORDERS


ORDERS = {
    "": ("-created_at", "-id"),
    "oldest": ("created_at", "id"),
    "title": ("project_title", "id"),
    "organisation": ("organisation__name", "-created_at"),
    "hours": ("-gpu_hours", "-id"),
    "state": ("state", "-state_at"),
}


def applications_visible(person: Person) -> QuerySet[Application]:
    """What the person writes; once submitted also all for operators, approvers and auditors, and what reviewers get."""
    rows = Application.objects.select_related("organisation", "programme", "call", "applicant")
    return rows.filter(read_by(person))


def applications_listed(person: Person, *names: str) -> QuerySet[Application]:
    """The same for a list, which shows these of what an application belongs to, and none of its long texts."""
    rows = applications_visible(person).select_related(None).defer("purpose", "state_reason")
    return rows.select_related(*names) if names else rows


def application_list(person: Person, filters: Filters | None = None) -> QuerySet[Application]:
    """What the person may see, newest first unless ordered otherwise; a page of it is read by `application_rows`."""
    filters = filters or Filters()
    rows = applications_listed(person)
    for name, value in (("state", filters.state), ("call__slug", filters.call), ("sector", filters.sector)):
        rows = rows.filter(**{name: value}) if value else rows
    if filters.risk:
        rows = rows.filter(risk_tier=filters.risk)
    for word in filters.query.split()[:8]:
        found = Q(project_title__icontains=word) | Q(organisation__name__icontains=word)
        rows = rows.filter(found | Q(pk=int(word)) if word.isdecimal() and len(word) < 10 else found)
    return rows.order_by(*ORDERS.get(filters.order, ORDERS[""]))


def application_rows(found: QuerySet[Application]) -> QuerySet[Application]:
    """A page of a list in its order, with what a table shows and `edited_at`, the last change of a text. Which rows are
    the page's is found first: only those are joined.
    """
    edits = Answer.objects.filter(application=OuterRef("pk")).order_by("-edited_at")
    rows = Application.objects.filter(pk__in=found.values("pk")).select_related("organisation", "programme", "call")
    rows = rows.defer("purpose", "state_reason").annotate(edited_at=Subquery(edits.values("edited_at")[:1]))
    return rows.order_by(*found.query.order_by)


def calls_applied_to(person: Person) -> QuerySet[Call]:
    """For the list's filter."""
    return Call.objects.filter(pk__in=applications_visible(person).order_by().values("call")).order_by("-opens_at")


def application_get(person: Person, pk: int) -> Application:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(applications_visible(person).select_related("question_set"), pk=pk)


def application_get_written(person: Person, pk: int) -> Application:
    """For those who write it. Raises Http404."""
    rows = Application.objects.select_related("organisation", "programme", "call", "question_set", "applicant")
    return get_object_or_404(rows.filter(written_by(person)), pk=pk)


def application_get_own(person: Person, pk: int) -> Application:
    """For what binds the organisation: only its managers. Raises Http404."""
    rows = Application.objects.select_related("organisation", "programme", "call", "question_set", "applicant")
    return get_object_or_404(rows, pk=pk, organisation__in=organisations_managed(person))


def application_get_returnable(person: Person, pk: int) -> Application:
    """For returning it: operators; what is not submitted does not exist for them. Raises Http404."""
    if not is_operator(person):
        raise Http404
    return application_get(person, pk)


def attachment_get(person: Person, application_pk: int, pk: int) -> Attachment:
    """One that the person may read: as it is now for those who write it, as it was submitted for others.

    Raises Http404.
    """
    application = application_get(person, application_pk)
    found = get_object_or_404(application.attachments.select_related("file", "application"), pk=pk)
    if writes(person, application):
        return found
    last = submission_last(application)
    if last is None or str(found.file_id) not in {one["file"] for one in last.attachments}:
        raise Http404
    return found


def comment_get(person: Person, application_pk: int, pk: int) -> Comment:
    """For those who write the application. Raises Http404."""
    return get_object_or_404(application_get_written(person, application_pk).comments, pk=pk)


def writes(person: Person, application: Application) -> bool:
    return Application.objects.filter(written_by(person), pk=application.pk).exists()


@dataclass(frozen=True)
class Verbs:
    """What is offered to a person; what is allowed is decided by the services."""

    write: bool
    submit: bool  # and withdraw, and name who writes
    withdraw: bool
    give_back: bool


def verbs_of(person: Person, application: Application) -> Verbs:
    is_manager = manages(person, application.organisation)
    return Verbs(
        write=application.is_written and writes(person, application),
        submit=application.is_written and is_manager,
        withdraw=application.state in UNDECIDED and is_manager,
        give_back=application.state in (State.SUBMITTED, State.RETURNED) and may_return(person, application),
    )


def organisations_that_can_apply(person: Person) -> QuerySet[Organisation]:
    return organisations_managed(person).order_by("name")


def calls_to_apply_to(at: datetime) -> QuerySet[Call]:
    return calls_open(at).filter(programme__imported=False)


def drafts_of(person: Person) -> QuerySet[Application]:
    """What the person could take an estimate over into."""
    rows = Application.objects.filter(written_by(person), state__in=(State.DRAFT, State.RETURNED))
    return rows.select_related("organisation", "programme", "call", "question_set").order_by("-created_at")


def people_to_name(application: Application) -> QuerySet[User]:
    """Members of the organisation who do not write the application yet."""
    members = Membership.objects.filter(organisation=application.organisation)
    managers = members.filter(role=Membership.Role.MANAGER).values("user")
    named = application.writers.values("user")
    people = User.objects.filter(pk__in=members.values("user"), is_active=True)
    return people.exclude(pk__in=managers).exclude(pk__in=named)


def managers_of(application: Application) -> QuerySet[User]:
    """Who may submit it."""
    managers = Membership.objects.filter(organisation=application.organisation, role=Membership.Role.MANAGER)
    return User.objects.filter(pk__in=managers.values("user"), is_active=True)


def questions_newer(application: Application) -> QuestionSet | None:
    """The version of the call's questions that was published since the draft was begun; None where there is none."""
    known = application.question_set
    if known is None:
        return None
    newest = QuestionSet.objects.filter(call=application.call_id).order_by("-version").first()
    return newest if newest is not None and newest.version > known.version else None


# --- what stands in it ------------------------------------------------------------------------------------------------


def answers_of(application: Application) -> dict[str, Answer]:
    return {one.key: one for one in application.answers.select_related("edited_by")}


def answer_values(application: Application) -> dict[str, Any]:
    """What stands in the fields now, by key; what is empty is left out."""
    rows = application.answers.filter(value__isnull=False).values_list("key", "value")
    return {key: value for key, value in rows if value is not None}


def attachments_of(application: Application) -> list[Attachment]:
    """As they are now."""
    return list(application.attachments.filter(removed_at__isnull=True).select_related("file", "added_by"))


def submission_last(application: Application) -> Submission | None:
    return application.submissions.select_related("question_set", "submitted_by").first()


@dataclass(frozen=True)
class ShownField:
    field: Field
    text: str
    comments: list[Comment] = dataclass_field(default_factory=list)
    before: str | None = None  # the text of the submission before, where it is another one
    attachment: Attachment | None = None


@dataclass(frozen=True)
class ShownSection:
    section: Section
    rows: list[ShownField]


@dataclass(frozen=True)
class Shown:
    """An application for a reader. `submission` is what the centre reads; None: as it is written now."""

    sections: list[ShownSection]
    attachments: list[Attachment]
    answers: Mapping[str, Any]
    submission: Submission | None


def shown_to(person: Person, application: Application) -> Shown:
    """The texts of an application: as they are now for those who write it, as they were submitted last for others.

    Seven queries, whatever stands in it.
    """
    submissions = list(application.submissions.select_related("question_set", "submitted_by")[:2])
    is_writer = writes(person, application)
    last = submissions[0] if submissions else None
    reads_now = last is None or (is_writer and application.is_written)
    if reads_now:
        answers, attachments, before = answer_values(application), attachments_of(application), last
    else:
        assert last is not None
        files = {one["file"] for one in last.attachments}
        rows = application.attachments.filter(file__in=files).select_related("file", "added_by")
        answers, attachments = last.answers, list(rows)
        before = submissions[1] if len(submissions) > 1 else None
    if last is not None and not reads_now:
        application.question_set = last.question_set
    sections = _sections(application, answers, before, attachments)
    return Shown(sections, attachments, answers, None if reads_now else last)


def _sections(
    application: Application, answers: Mapping[str, Any], before: Submission | None, attachments: list[Attachment]
) -> list[ShownSection]:
    fields = fields_of(application)
    comments: dict[str, list[Comment]] = {}
    for comment in application.comments.select_related("written_by", "resolved_by"):
        comments.setdefault(comment.key, []).append(comment)
    files = {one.key: one for one in attachments if one.key}

    def shown(one: Field) -> ShownField:
        text = shown_of(one, answers.get(one.key))
        earlier = shown_of(one, before.answers.get(one.key)) if before is not None else text
        return ShownField(
            field=one,
            text=text,
            comments=comments.get(one.key, []),
            before=earlier if earlier != text and one.kind != Kind.FILE else None,
            attachment=files.get(one.key),
        )

    sections = []
    for slug, section in SECTIONS.items():
        asked = [one for one in fields_in(fields, slug) if application.call_id is not None or one.is_basic]
        if asked:
            sections.append(ShownSection(section, [shown(one) for one in asked]))
    return sections
