"""Funding sources: budgets and rules of programmes, tariffs, calls.

A programme's budget of one GPU type, and its budget in VND, are ledger accounts; every voucher comes out of them.
Percentages are basis points, 10,000 to the whole: no fraction is ever rounded in a rule.
"""

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Organisation, User
from quotas.proposals.models import Proposal

WHOLE_BASIS_POINTS = 10_000


def in_language(vi: str, en: str) -> str:
    """What is kept in both languages, in the active one; the other one where that is empty."""
    return (en or vi) if get_language() == "en" else (vi or en)


@track()
class Programme(models.Model):
    """A funding source with its rules. Its budgets lie in the ledger (`ProgrammePool`, `ProgrammeBudget`)."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    slug = models.SlugField(max_length=40, unique=True)
    summary_vi = models.TextField(_("summary in Vietnamese"), max_length=2_000, blank=True)
    summary_en = models.TextField(_("summary in English"), max_length=2_000, blank=True)
    # Its allocations are for trying things out: one person has little at once, whatever the budget. It never changes.
    is_sandbox = models.BooleanField(_("sandbox"), default=False)
    imported = models.BooleanField(default=False)  # the one programme from which imported history is granted
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("to"))
    largest_award_gpu_hours = models.PositiveIntegerField(_("largest award, GPU-hours"), null=True)
    largest_award_vnd = models.BigIntegerField(_("largest award, VND"), null=True)
    open_vouchers_limit = models.PositiveSmallIntegerField(_("open vouchers an organisation may hold"), null=True)
    three_person_above_vnd = models.BigIntegerField(_("two approvers above, VND"), null=True)
    clawback_on = models.DateField(_("clawback on"), null=True)
    clawback_basis_points = models.PositiveIntegerField(_("clawback, basis points of the unspent"), default=0)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("programme")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="programme_dates_in_order"),
            models.UniqueConstraint(fields=["imported"], condition=Q(imported=True), name="programme_imported_once"),
            models.CheckConstraint(
                condition=(Q(largest_award_gpu_hours__isnull=True) | Q(largest_award_gpu_hours__gt=0))
                & (Q(largest_award_vnd__isnull=True) | Q(largest_award_vnd__gt=0))
                & (Q(open_vouchers_limit__isnull=True) | Q(open_vouchers_limit__gt=0))
                & (Q(three_person_above_vnd__isnull=True) | Q(three_person_above_vnd__gte=0)),
                name="programme_limits_positive",
            ),
            models.CheckConstraint(
                condition=Q(clawback_on__isnull=True, clawback_basis_points=0)
                | Q(
                    clawback_on__isnull=False,
                    clawback_basis_points__gt=0,
                    clawback_basis_points__lte=WHOLE_BASIS_POINTS,
                ),
                name="programme_clawback_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def summary(self) -> str:
        return in_language(self.summary_vi, self.summary_en)


@track()
class StateShare(models.Model):
    """What part of an award the state pays for one kind of organisation. A kind without a row may not apply."""

    programme = models.ForeignKey(
        Programme, verbose_name=_("programme"), on_delete=models.PROTECT, related_name="shares"
    )
    organisation_kind = models.CharField(_("kind of organisation"), max_length=16, choices=Organisation.Kind.choices)
    share_basis_points = models.PositiveIntegerField(_("state share, basis points"))

    class Meta:
        verbose_name = _("state share")
        ordering = ["organisation_kind"]
        constraints = [
            models.UniqueConstraint(fields=["programme", "organisation_kind"], name="state_share_once"),
            models.CheckConstraint(
                condition=Q(share_basis_points__lte=WHOLE_BASIS_POINTS), name="state_share_at_most_the_whole"
            ),
        ]


class ProgrammePool(models.Model):
    """A programme's budget of one GPU type, in GPU-seconds: a ledger account, funded from a source."""

    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="pools")
    gpu_type = models.CharField(max_length=32)  # Slurm's GRES type in lower case
    account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    source_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["gpu_type"]
        constraints = [models.UniqueConstraint(fields=["programme", "gpu_type"], name="programme_pool_once")]


class ProgrammeBudget(models.Model):
    """A programme's budget in VND: a ledger account of kind budget, funded from a source. It pays the state shares."""

    programme = models.OneToOneField(Programme, on_delete=models.PROTECT, related_name="budget")
    account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    source_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")


@track()
class Tariff(models.Model):
    """VND per GPU-hour of one GPU type from a day on, until the next one. Never changed: a trigger says so.

    `cluster`: of this cluster alone, before the tariff of all, which bears none.

    Two people decided it: the row is made by its carried-out proposal and says what that says (a trigger again).
    """

    gpu_type = models.CharField(_("GPU type"), max_length=32)
    cluster = models.SlugField(_("cluster"), max_length=40, blank=True, default="")
    vnd_per_gpu_hour = models.BigIntegerField(_("VND per GPU-hour"))
    valid_from = models.DateField(_("valid from"))  # a day of the centre
    decided_on = models.DateField(_("decided on"))
    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("tariff")
        ordering = ["gpu_type", "cluster", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["gpu_type", "cluster", "valid_from"], name="tariff_once_a_day"),
            models.CheckConstraint(condition=Q(vnd_per_gpu_hour__gt=0), name="tariff_positive"),
            models.CheckConstraint(condition=Q(valid_from__gte=F("decided_on")), name="tariff_not_in_the_past"),
        ]


@track()
class Call(models.Model):
    """A round of a programme: applications are taken between two moments."""

    programme = models.ForeignKey(
        Programme, verbose_name=_("programme"), on_delete=models.PROTECT, related_name="calls"
    )
    title = models.CharField(_("title"), max_length=200)
    slug = models.SlugField(max_length=40, unique=True)
    summary_vi = models.TextField(_("summary in Vietnamese"), max_length=2_000, blank=True)
    summary_en = models.TextField(_("summary in English"), max_length=2_000, blank=True)
    opens_at = models.DateTimeField(_("opens"))
    closes_at = models.DateTimeField(_("closes"))  # the first moment at which nothing is taken any more
    reviews_needed = models.PositiveSmallIntegerField(_("reviews of each application"), default=2)
    criteria_fixed_at = models.DateTimeField(_("criteria fixed"), null=True)  # the first score was given
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("call")
        ordering = ["-opens_at", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(closes_at__gt=F("opens_at")), name="call_dates_in_order"),
        ]

    def __str__(self) -> str:
        return self.title

    def state_at(self, moment: datetime) -> str:
        """announced, open or closed."""
        if moment < self.opens_at:
            return "announced"
        return "open" if moment < self.closes_at else "closed"

    @property
    def summary(self) -> str:
        return in_language(self.summary_vi, self.summary_en)


class QuestionSet(models.Model):
    """A version of a call's own questions, in order. Never changed: an application keeps the one it was written for.

    `questions` as `quotas.programmes.questions` reads and checks them.
    """

    call = models.ForeignKey(Call, on_delete=models.PROTECT, related_name="question_sets")
    version = models.PositiveIntegerField()
    questions = models.JSONField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")  # NULL: a process

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["call", "version"], name="question_set_version_once")]


@track()
class Criterion(models.Model):
    """What reviewers score, with its weight among the others of the call. Fixed once the first score is given."""

    call = models.ForeignKey(Call, verbose_name=_("call"), on_delete=models.PROTECT, related_name="criteria")
    position = models.PositiveSmallIntegerField(default=0)
    key = models.CharField(max_length=40)
    label_vi = models.CharField(_("in Vietnamese"), max_length=200)
    label_en = models.CharField(_("in English"), max_length=200)
    weight = models.PositiveSmallIntegerField(_("weight"))
    max_score = models.PositiveSmallIntegerField(_("highest score"))

    class Meta:
        verbose_name = _("criterion")
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["call", "key"], name="criterion_key_once"),
            models.CheckConstraint(condition=Q(weight__gt=0, max_score__gt=0), name="criterion_counts"),
        ]

    @property
    def label(self) -> str:
        return in_language(self.label_vi, self.label_en)
