"""An organisation's request for GPU-hours."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.files.models import StoredFile
from portal.people.models import Organisation, User
from quotas.programmes.models import Call, Programme, QuestionSet


@track()
class Application(models.Model):
    """What an organisation asks for. While it is written its texts are `Answer` rows; submitting copies into the
    columns what decisions, lists and vouchers need, and keeps the whole in a `Submission`.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        SUBMITTED = "submitted", _("In review")
        RETURNED = "returned", _("Returned for changes")
        PROPOSED = "proposed", _("Decision proposed")
        AWARDED = "awarded", _("Awarded")
        REFUSED = "refused", _("Refused")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="applications")
    # NULL: asked of a programme without a call; such an application has no questions of a call.
    call = models.ForeignKey(Call, on_delete=models.PROTECT, null=True, related_name="applications")
    question_set = models.ForeignKey(QuestionSet, on_delete=models.PROTECT, null=True, related_name="+")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="applications")
    applicant = models.ForeignKey(User, on_delete=models.PROTECT, related_name="applications")  # who submitted it last
    # Copied from the answers when it is submitted; before that only the title is kept up to date, for lists.
    project_title = models.CharField(_("project title"), max_length=200, blank=True)
    purpose = models.TextField(_("purpose"), max_length=10_000, blank=True)
    gpu_type = models.CharField(_("GPU type"), max_length=32, blank=True)
    gpu_hours = models.PositiveIntegerField(_("GPU-hours asked for"), default=0)
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("to"))
    sector = models.CharField(_("sector"), max_length=32, blank=True)
    product_group = models.CharField(_("product group"), max_length=32, blank=True)
    risk_tier = models.CharField(_("risk tier"), max_length=16, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.DRAFT)
    state_reason = models.TextField(_("reason"), max_length=4_000, blank=True)  # why it is in this state, for people
    state_at = models.DateTimeField(_("in this state since"))
    submitted_at = models.DateTimeField(_("submitted on"), null=True)  # the first time
    resubmit_by = models.DateTimeField(_("to be submitted again by"), null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = _("application")
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="application_dates_in_order"),
            models.CheckConstraint(
                condition=Q(submitted_at__isnull=True) | (Q(gpu_hours__gt=0) & ~Q(gpu_type="") & ~Q(project_title="")),
                name="application_submitted_whole",
            ),
            models.CheckConstraint(
                condition=Q(submitted_at__isnull=False) | Q(state__in=["draft", "withdrawn"]),
                name="application_submitted_before_more",
            ),
            models.CheckConstraint(
                condition=Q(call__isnull=True, question_set__isnull=True)
                | Q(call__isnull=False, question_set__isnull=False),
                name="application_call_with_questions",
            ),
            models.CheckConstraint(
                condition=~Q(state="returned") | Q(resubmit_by__isnull=False), name="application_returned_until"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at"]),
            models.Index(fields=["state", "submitted_at"]),
            models.Index(fields=["-submitted_at", "-id"]),
        ]
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.project_title or gettext("Untitled application")

    @property
    def is_written(self) -> bool:
        """Whether its texts can be changed now."""
        return self.state in (self.State.DRAFT, self.State.RETURNED)


class Answer(models.Model):
    """What stands in one field now: a text, a whole number, or nothing. Saved while typing, so its history is not kept
    word by word; what was submitted is (`Submission`).

    `version` counts the changes of this field: who changes it says which version he or she saw.
    """

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="answers")
    key = models.CharField(max_length=60)  # of a field of every call, or "q." and the key of a call's own question
    value = models.JSONField(null=True)
    version = models.PositiveIntegerField(default=1)
    edited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    edited_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "key"], name="answer_once")]


class Submission(models.Model):
    """The whole application as it was submitted one time: what the centre reads. Never changed, by a trigger."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="submissions")
    number = models.PositiveSmallIntegerField()
    question_set = models.ForeignKey(QuestionSet, on_delete=models.PROTECT, null=True, related_name="+")
    answers = models.JSONField()  # values by key
    attachments = models.JSONField()  # [{"file": id, "name", "sha256", "key"}]
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["application", "number"], name="submission_once")]
        triggers = [pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update | pgtrigger.Delete)]


@track()
class Attachment(models.Model):
    """A PDF of an application. One that was taken away stays as a row: an earlier submission may show it."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="attachments")
    key = models.CharField(_("field"), max_length=60, blank=True)  # of the call's question that asks for it, or ""
    file = models.ForeignKey(StoredFile, verbose_name=_("file"), on_delete=models.PROTECT, related_name="+")
    added_by = models.ForeignKey(User, verbose_name=_("added by"), on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(_("added"))
    removed_at = models.DateTimeField(_("taken away"), null=True)

    class Meta:
        verbose_name = _("attachment")
        ordering = ["added_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "key"],
                condition=Q(removed_at__isnull=True) & ~Q(key=""),
                name="attachment_one_an_answer",
            )
        ]


@track()
class Writer(models.Model):
    """A member of the organisation who writes an application beside the organisation's managers."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="writers")
    user = models.ForeignKey(User, verbose_name=_("person"), on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(_("added"))

    class Meta:
        verbose_name = _("writer of an application")
        constraints = [models.UniqueConstraint(fields=["application", "user"], name="application_writer_once")]


@track()
class Comment(models.Model):
    """What the centre wants changed, beside a field. Resolved one by one by those who write."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="comments")
    key = models.CharField(_("field"), max_length=60)
    text = models.TextField(_("comment"), max_length=4_000)
    written_by = models.ForeignKey(User, verbose_name=_("written by"), on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField(_("written"))
    resolved_by = models.ForeignKey(
        User, verbose_name=_("resolved by"), on_delete=models.PROTECT, null=True, related_name="+"
    )
    resolved_at = models.DateTimeField(_("resolved"), null=True)

    class Meta:
        verbose_name = _("comment on an application")
        ordering = ["written_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(resolved_by__isnull=True, resolved_at__isnull=True)
                | Q(resolved_by__isnull=False, resolved_at__isnull=False),
                name="comment_resolved_whole",
            )
        ]
