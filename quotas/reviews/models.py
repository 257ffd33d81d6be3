"""The two-person decision on an application."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Project, User
from quotas.allocations.models import Allocation, Voucher
from quotas.applications.models import Application


@track()
class Decision(models.Model):
    """An award or a refusal: proposed by one person, confirmed by another. The database refuses the same one twice.

    A decision that was sent back stays, with who did so and why; an application has one that stands.
    """

    class Outcome(models.TextChoices):
        AWARD = "award", _("Award")
        REFUSAL = "refusal", _("Refusal")

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="decisions")
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    awarded_gpu_seconds = models.BigIntegerField(default=0)
    cluster = models.SlugField(max_length=40, blank=True)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)  # NULL: the award makes one
    reason = models.TextField(_("reason"), max_length=4_000)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    sent_back_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    sent_back_at = models.DateTimeField(null=True)
    sent_back_reason = models.TextField(max_length=4_000, blank=True)
    voucher = models.OneToOneField(Voucher, on_delete=models.PROTECT, null=True, related_name="decision")
    allocation = models.OneToOneField(Allocation, on_delete=models.PROTECT, null=True, related_name="decision")

    class Meta:
        verbose_name = _("decision")
        ordering = ["-proposed_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application"], condition=Q(sent_back_at__isnull=True), name="decision_one_stands"
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("proposed_by")),
                name="decision_two_people",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True, confirmed_at__isnull=True)
                | Q(confirmed_by__isnull=False, confirmed_at__isnull=False),
                name="decision_confirmed_whole",
            ),
            models.CheckConstraint(
                condition=Q(sent_back_at__isnull=True) | Q(confirmed_at__isnull=True),
                name="decision_confirmed_or_sent_back",
            ),
            # What an award makes exists only once it is confirmed.
            models.CheckConstraint(
                condition=Q(voucher__isnull=True) | Q(confirmed_by__isnull=False),
                name="decision_no_voucher_before_second",
            ),
            models.CheckConstraint(
                condition=Q(outcome="refusal", awarded_gpu_seconds=0) | Q(outcome="award", awarded_gpu_seconds__gt=0),
                name="decision_amount_fits_outcome",
            ),
        ]
