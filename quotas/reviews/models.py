"""Who reviews an application, what they found, and the decision on it.

What CHECKs cannot say (one part a person, no conflict of interest, two or three people) is said by the triggers in
migrations/0002_rules.sql.
"""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Project, User
from quotas.allocations.models import Allocation, Voucher
from quotas.applications.models import Application
from quotas.programmes.models import Call, Criterion
from quotas.proposals.models import Proposal

OPEN_REVIEWS_USUAL = 20


@track()
class ReviewerProfile(models.Model):
    """What a reviewer knows, as applications name it, and how many reviews at once are reasonable."""

    user = models.OneToOneField(User, verbose_name=_("person"), on_delete=models.PROTECT, related_name="expertise")
    sectors = ArrayField(models.CharField(max_length=32), verbose_name=_("sectors"), default=list)
    product_groups = ArrayField(models.CharField(max_length=32), verbose_name=_("product groups"), default=list)
    open_reviews_limit = models.PositiveSmallIntegerField(_("open reviews at most"), default=OPEN_REVIEWS_USUAL)
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = _("reviewer's expertise")
        constraints = [models.CheckConstraint(condition=Q(open_reviews_limit__gt=0), name="reviewer_reviews")]


@track()
class CallReviewer(models.Model):
    """A person who reviews for a call."""

    call = models.ForeignKey(Call, verbose_name=_("call"), on_delete=models.PROTECT, related_name="reviewers")
    user = models.ForeignKey(User, verbose_name=_("person"), on_delete=models.PROTECT, related_name="+")
    added_by = models.ForeignKey(User, verbose_name=_("added by"), on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(_("added"))

    class Meta:
        verbose_name = _("reviewer of a call")
        constraints = [models.UniqueConstraint(fields=["call", "user"], name="call_reviewer_once")]


@track(exclude=["comment"])
class Assignment(models.Model):
    """One application for one reviewer: first the question of interest, then the scores, then both are fixed.

    Once a conflict of interest arises, a trigger ends it: the reviewer sees the application no more, and what was
    scored counts no more.
    """

    class State(models.TextChoices):
        ASSIGNED = "assigned", _("Not begun")
        ACCEPTED = "accepted", _("Being reviewed")
        SUBMITTED = "submitted", _("Reviewed")
        ENDED = "ended", _("Ended")

    class End(models.TextChoices):
        CONFLICT = "conflict", _("Conflict of interest")
        REMOVED = "removed", _("Taken back by the centre")
        WITHDRAWN = "withdrawn", _("The application was withdrawn")
        DECIDED = "decided", _("Decided without this review")

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="assignments")
    reviewer = models.ForeignKey(User, verbose_name=_("reviewer"), on_delete=models.PROTECT, related_name="assignments")
    assigned_by = models.ForeignKey(User, verbose_name=_("assigned by"), on_delete=models.PROTECT, related_name="+")
    assigned_at = models.DateTimeField(_("assigned"))
    matched = models.JSONField(null=True)  # why the matching chose it; NULL: by hand
    due_on = models.DateField(_("due"))  # a day of the centre
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ASSIGNED)
    accepted_at = models.DateTimeField(_("no conflict declared"), null=True)
    submitted_at = models.DateTimeField(_("submitted"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    end = models.CharField(_("why it ended"), max_length=10, choices=End.choices, blank=True)
    comment = models.TextField(_("comment"), max_length=4_000, blank=True)
    # Weighted mean of its scores, 10,000 is the highest score in every criterion; rounded half up, once.
    score_basis_points = models.PositiveIntegerField(_("score"), null=True)

    class Meta:
        verbose_name = _("review")
        ordering = ["due_on", "id"]
        indexes = [models.Index(fields=["reviewer", "state", "due_on"])]
        constraints = [
            models.UniqueConstraint(fields=["application", "reviewer"], name="review_once_a_person"),
            models.CheckConstraint(
                condition=~Q(state="submitted") | Q(submitted_at__isnull=False, score_basis_points__lte=10_000),
                name="review_submitted_whole",
            ),
            models.CheckConstraint(
                condition=Q(state="ended", ended_at__isnull=False) & ~Q(end="")
                | ~Q(state="ended") & Q(ended_at__isnull=True, end=""),
                name="review_ended_whole",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=False) | Q(state__in=["assigned", "ended"]),
                name="review_interest_asked_first",
            ),
        ]


class Score(models.Model):
    """What a reviewer gives for one criterion, and why. A draft until the review is submitted; then a trigger keeps
    it."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="scores")
    criterion = models.ForeignKey(Criterion, on_delete=models.PROTECT, related_name="+")
    value = models.PositiveSmallIntegerField(null=True)
    reason = models.TextField(max_length=4_000, blank=True)

    class Meta:
        ordering = ["criterion__position", "criterion_id"]
        constraints = [models.UniqueConstraint(fields=["assignment", "criterion"], name="score_once")]


class Part(models.Model):
    """What a person has been in one application: one thing, for ever. Written by triggers, never changed."""

    class Kind(models.TextChoices):
        APPLICANT = "applicant", _("Applicant")
        REVIEWER = "reviewer", _("Reviewer")
        PROPOSER = "proposer", _("Proposer of the decision")
        APPROVER = "approver", _("Approver of the decision")

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="parts")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    part = models.CharField(max_length=10, choices=Kind.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "person"], name="part_one_a_person")]


@track()
class Decision(models.Model):
    """An award or a refusal: what its proposal (kind "award") says, proposed by one person, confirmed by others.

    Above the programme's three_person_above_vnd two confirm. That a decision is confirmed only with its proposal is the
    trigger `decision_two_people`. One that was sent back stays; an application has one that stands.
    """

    class Outcome(models.TextChoices):
        AWARD = "award", _("Award")
        REFUSAL = "refusal", _("Refusal")

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Decision proposed")
        CONFIRMED = "confirmed", _("Confirmed")
        SENT_BACK = "sent_back", _("Sent back")

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="decisions")
    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="decision")
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    awarded_gpu_seconds = models.BigIntegerField(default=0)
    amount_vnd = models.BigIntegerField(default=0)  # at the tariff of the day of the proposal; 0 without a tariff
    cluster = models.SlugField(max_length=40, blank=True)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)  # NULL: the award makes one
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PROPOSED)
    voucher = models.OneToOneField(Voucher, on_delete=models.PROTECT, null=True, related_name="decision")
    allocation = models.OneToOneField(Allocation, on_delete=models.PROTECT, null=True, related_name="decision")

    class Meta:
        verbose_name = _("decision")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application"], condition=~Q(state="sent_back"), name="decision_one_stands"
            ),
            # What an award makes exists only once it is confirmed.
            models.CheckConstraint(
                condition=Q(voucher__isnull=True) | Q(state="confirmed"), name="decision_no_voucher_before_second"
            ),
            models.CheckConstraint(
                condition=Q(outcome="refusal", awarded_gpu_seconds=0) | Q(outcome="award", awarded_gpu_seconds__gt=0),
                name="decision_amount_fits_outcome",
            ),
        ]

    @property
    def reason(self) -> str:
        return self.proposal.reason

    @property
    def proposed_by(self) -> User:
        person = self.proposal.proposed_by
        assert person is not None  # no process proposes an award
        return person

    @property
    def proposed_at(self) -> datetime:
        return self.proposal.proposed_at

    @property
    def confirmed_at(self) -> datetime | None:
        return self.proposal.closed_at if self.state == self.State.CONFIRMED else None

    @property
    def confirmed_by(self) -> list[User]:
        """The others, in the order of their yes; also while one of two is missing."""
        return [one.approver for one in self.proposal.approvals.all()]

    @property
    def sent_back_at(self) -> datetime | None:
        return self.proposal.closed_at if self.state == self.State.SENT_BACK else None
