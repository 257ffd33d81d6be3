"""An organisation's request for GPU-hours."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Organisation, User
from quotas.programmes.models import Call, Programme


@track()
class Application(models.Model):
    class State(models.TextChoices):
        RETURNED = "returned", _("Returned for changes")
        SUBMITTED = "submitted", _("In review")
        PROPOSED = "proposed", _("Decision proposed")
        AWARDED = "awarded", _("Awarded")
        REFUSED = "refused", _("Refused")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="applications")
    call = models.ForeignKey(Call, on_delete=models.PROTECT, null=True, related_name="applications")
    sector = models.CharField(_("sector"), max_length=32, blank=True)
    product_group = models.CharField(_("product group"), max_length=32, blank=True)
    submitted_at = models.DateTimeField(null=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="applications")
    applicant = models.ForeignKey(User, on_delete=models.PROTECT, related_name="applications")
    project_title = models.CharField(_("project title"), max_length=200)
    purpose = models.TextField(_("purpose"), max_length=10_000)
    gpu_type = models.CharField(_("GPU type"), max_length=32)
    gpu_hours = models.PositiveIntegerField(_("GPU-hours asked for"))
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("to"))
    state = models.CharField(max_length=12, choices=State.choices, default=State.SUBMITTED)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = _("application")
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="application_dates_in_order"),
            models.CheckConstraint(condition=Q(gpu_hours__gt=0), name="application_gpu_hours_positive"),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at"]), models.Index(fields=["state", "created_at"])]
        ordering = ["-created_at", "-id"]
