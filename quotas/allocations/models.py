"""Vouchers and allocations. Every amount is GPU-seconds of one GPU type and lies in the ledger; these rows say whose it is."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.people.models import Organisation, Project
from quotas.programmes.models import Programme


class Voucher(models.Model):
    """An award to an organisation. Its ledger account holds what is not yet allocated to a project."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="vouchers")
    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="vouchers")
    gpu_type = models.CharField(max_length=32)
    face_gpu_seconds = models.BigIntegerField()
    starts_on = models.DateField()
    ends_on = models.DateField()  # the last day on which jobs may start, in the centre's time zone
    account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    imported = models.BooleanField(default=False)
    created_at = models.DateTimeField()


class Allocation(models.Model):
    """A part of a voucher given to a project on one cluster: one Slurm QOS in the project's account."""

    class State(models.TextChoices):
        ACTIVE = "active", _("Active")
        SUSPENDED = "suspended", _("Suspended")
        EXPIRED = "expired", _("Expired")
        CLOSED = "closed", _("Closed")

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="allocations")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="allocations")
    cluster = models.SlugField(max_length=40)  # the cluster's name; quotas knows no more of it
    gpu_type = models.CharField(max_length=32)
    # A QOS that is deleted and made again starts from zero usage, so a name carries a random part and is never reused.
    qos = models.CharField(max_length=80, unique=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.ACTIVE)
    starts_on = models.DateField()
    ends_on = models.DateField()
    account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    consumed_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    expired_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    overrun_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    imported = models.BooleanField(default=False)
    adopted_at = models.DateTimeField(null=True)  # an imported allocation is wanted in Slurm only after this
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["cluster", "state"]), models.Index(fields=["project", "state"])]
        ordering = ["id"]
