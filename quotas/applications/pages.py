"""What the pages of a draft are made of: the rows of a section, the steps, and what is said beside each field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import cached_property

from portal.clock import now
from portal.people.models import User
from quotas.applications import selectors
from quotas.applications.checks import Problem, problems_of
from quotas.applications.errors import ApplicationError, EditedMeanwhile
from quotas.applications.fields import (
    ATTACHMENTS,
    PROJECT,
    QUESTIONS,
    REQUEST,
    REVIEW,
    RISK,
    SECTIONS,
    Kind,
    Section,
    fields_in,
    fields_of,
)
from quotas.applications.forms import (
    AnswerFileForm,
    AttachmentForm,
    EstimateForm,
    Row,
    SectionForm,
    Stamp,
    WriterForm,
)
from quotas.applications.grace import deadline_of, grace_minutes
from quotas.applications.models import Answer, Application, Attachment
from quotas.applications.risk import risk_of
from quotas.applications.services import answer_save
from quotas.applications.values import shown_of, text_of
from quotas.estimator.methods import Method
from quotas.estimator.numbers import canonical
from quotas.estimator.peaks import GPUS, PRECISIONS
from quotas.programmes.selectors import worth_today_vnd
from quotas.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class Step:
    """`problems`: how many things of the section stand in the way of submitting."""

    section: Section
    number: int
    problems: int
    is_current: bool

    @property
    def is_done(self) -> bool:
        return not self.problems and self.section.slug != REVIEW


@dataclass(frozen=True)
class FilePart:
    """The form of a question that is answered with a file."""

    key: str
    id: str
    form: AnswerFileForm
    url: str


class Draft:
    """One section of an application (or one field of it) on its way from the database to a page and back."""

    def __init__(self, application: Application, slug: str, *, keys: list[str] | None = None) -> None:
        self.application = application
        self.slug = slug
        self.fields = fields_of(application)
        self.keys = keys if keys is not None else [one.key for one in fields_in(self.fields, slug)]
        self.data: QueryDict | None = None
        self.said: dict[str, dict[str, Any]] = {}

    @classmethod
    def of_field(cls, application: Application, key: str, *, kind: Kind | None = None) -> "Draft":
        """Raises Http404 for a field that the application does not have (of that kind)."""
        found = fields_of(application).get(key)
        if found is None or (kind is None) != (found.kind != Kind.FILE):
            raise Http404
        return cls(application, found.section, keys=[key])

    @cached_property
    def answers(self) -> dict[str, Answer]:
        return selectors.answers_of(self.application)

    @property
    def values(self) -> dict[str, Any]:
        return {key: one.value for key, one in self.answers.items() if one.value is not None}

    @cached_property
    def attachments(self) -> list[Attachment]:
        return selectors.attachments_of(self.application)

    @property
    def form(self) -> SectionForm:
        return SectionForm(self.data, fields=[self.fields[key] for key in self.keys], answers=self.answers)

    @property
    def refused(self) -> bool:
        return any("error" in said or "is_conflict" in said for said in self.said.values())

    @property
    def is_seen(self) -> bool:
        """Whether the page shows these very texts already: leaving a box in conflict sends it once more."""
        conflicts = {key: said["seen"] for key, said in self.said.items() if "is_conflict" in said}
        return bool(conflicts) and all(self.form.seen(key) == seen for key, seen in conflicts.items())

    def save(self, person: User, data: QueryDict, *, over: int | None = None) -> None:
        """Saves each field that the person touched. What is refused is said beside it, and its text stays in its box.

        `over`: the version that the person chose to save over, after reading both texts.
        """
        self.data = data
        form = self.form
        for key, text in form.texts().items():
            stamp = form.stamp(key)
            if over is None and stamp.is_untouched(text):
                continue
            version = stamp.version if over is None else over
            try:
                answer = answer_save(person=person, application=self.application, key=key, text=text, version=version)
            except EditedMeanwhile as error:
                self.said[key] = self._conflict(error.answer, text, stamp)
            except ApplicationError as error:
                self.said[key] = {"error": str(error), "stamp": str(stamp)}
            else:
                kept = text_of(self.fields[key], answer.value)
                self.said[key] = {"saved_at": answer.edited_at or now(), "stamp": str(Stamp.of(answer, kept))}
        self.__dict__.pop("answers", None)

    def _conflict(self, answer: Answer, text: str, stamp: Stamp) -> dict[str, Any]:
        """Both texts. A field that saves itself goes on saying that it began with the older one; on a page that was
        sent whole, sending it again saves over the newer one, which has been read by then.
        """
        one = self.fields[answer.key]
        is_whole = len(self.keys) > 1
        return {
            "is_conflict": True,
            "theirs": shown_of(one, answer.value),
            "mine": text,
            "seen": str(Stamp.of(answer, text)),
            "stamp": f"{answer.version}." if is_whole else str(stamp),
        }

    def rows(self) -> list[Row]:
        form = self.form
        comments: dict[str, list[Any]] = {}
        for comment in self.application.comments.filter(key__in=self.keys).select_related("written_by", "resolved_by"):
            comments.setdefault(comment.key, []).append(comment)
        return [
            form.row(self.fields[key], comments=comments.get(key, []), **self.said.get(key, {}))
            for key in self.keys
            if self.fields[key].kind != Kind.FILE
        ]

    def file_parts(self, forms: Mapping[str, AnswerFileForm]) -> list[FilePart]:
        """The forms of the questions that are answered with files; those that were refused as they were sent."""
        parts = []
        self.__dict__.pop("attachments", None)
        current = {one.key: one for one in self.attachments if one.key}
        for number, key in enumerate(self.keys):
            if self.fields[key].kind == Kind.FILE:
                form = forms.get(key) or AnswerFileForm(field=self.fields[key], current=current.get(key))
                if key in current:
                    pks = [self.application.pk, current[key].pk]
                    form.fields["file"].widget.url = reverse("applications:attachment", args=pks)
                url = reverse("applications:answer_file", args=[self.application.pk, key])
                parts.append(FilePart(key, f"file-{number}", form, url))
        return parts

    def problems(self) -> list[Problem]:
        files = {one.key for one in self.attachments if one.key}
        return problems_of(self.application, self.fields, self.values, files)

    def steps(self, problems: list[Problem]) -> list[Step]:
        slugs = [slug for slug in SECTIONS if self._has(slug)]
        return [
            Step(SECTIONS[slug], number, sum(one.section == slug for one in problems), slug == self.slug)
            for number, slug in enumerate(slugs, start=1)
        ]

    def _has(self, slug: str) -> bool:
        if slug in (ATTACHMENTS, REVIEW):
            return True
        asked = fields_in(self.fields, slug)
        return any(self.application.call_id is not None or one.is_basic for one in asked)


def draft_page(
    request: HttpRequest,
    draft: Draft,
    *,
    status: int = 200,
    attachment_form: AttachmentForm | None = None,
    file_forms: Mapping[str, AnswerFileForm] | None = None,
    writer_form: WriterForm | None = None,
) -> HttpResponse:
    """One step of the form, whole."""
    application, slug = draft.application, draft.slug
    problems = draft.problems()
    steps = draft.steps(problems)
    position = next(number for number, step in enumerate(steps) if step.is_current)
    context: dict[str, Any] = {
        "application": application,
        "section": SECTIONS[slug],
        "rows": draft.rows(),
        "steps": steps,
        "previous": steps[position - 1] if position else None,
        "following": steps[position + 1] if position + 1 < len(steps) else None,
        "deadline": deadline_of(application),
        "grace_minutes": grace_minutes(),
        "newer_questions": selectors.questions_newer(application),
        "verbs": selectors.verbs_of(request.user, application),
        "refused": len([said for said in draft.said.values() if "error" in said or "is_conflict" in said]),
    }
    context |= _of_section(request, draft, problems, attachment_form, file_forms or {}, writer_form)
    return render(request, "applications/section.html", context, status=status)


def _of_section(
    request: HttpRequest,
    draft: Draft,
    problems: list[Problem],
    attachment_form: AttachmentForm | None,
    file_forms: Mapping[str, AnswerFileForm],
    writer_form: WriterForm | None,
) -> dict[str, Any]:
    application = draft.application
    if draft.slug == PROJECT:
        return {
            "writers": application.writers.select_related("user"),
            "managers": selectors.managers_of(application),
            "writer_form": writer_form or WriterForm(application=application),
        }
    if draft.slug == RISK:
        return {"risk": risk_of(draft.values), "open_labels": _labels(draft, risk_of(draft.values).open)}
    if draft.slug == QUESTIONS:
        return {"file_parts": draft.file_parts(file_forms)}
    if draft.slug == ATTACHMENTS:
        comments = application.comments.filter(key=ATTACHMENTS).select_related("written_by", "resolved_by")
        return {
            "attachments": [one for one in draft.attachments if not one.key],
            "attachment_form": attachment_form or AttachmentForm(),
            "comments": comments,
        }
    if draft.slug == REQUEST:
        texts = EstimateForm(request.GET).texts() if request.method == "GET" else {}
        return {"estimator_url": _estimator_url(draft.values), "estimate": texts, "vnd": _worth(draft.values)}
    if draft.slug == REVIEW:
        return {
            "problems": problems,
            "risk": risk_of(draft.values) if application.call_id else None,
            "managers": selectors.managers_of(application),
        }
    return {}


def _labels(draft: Draft, keys: list[str]) -> list[str]:
    return [str(draft.fields[key].label) for key in keys]


def _worth(values: Mapping[str, Any]) -> int | None:
    hours, gpu_type = values.get("gpu_hours"), values.get("gpu_type")
    return worth_today_vnd(gpu_type, hours * SECONDS_PER_HOUR) if hours and gpu_type else None


def _estimator_url(values: Mapping[str, Any]) -> str:
    """The estimator, filled in with what the application says."""
    known: dict[str, str] = {"method": Method.FINETUNE if values.get("base_model") else Method.PRETRAIN}
    for name in ("parameters", "tokens"):
        if values.get(name):
            known[name] = canonical(values[name])
    if values.get("gpu_type") in GPUS:
        known["gpu_type"] = values["gpu_type"]
    if values.get("precision") in PRECISIONS:
        known["precision"] = values["precision"]
    return f"{reverse('estimator:page')}?{urlencode(known)}"
