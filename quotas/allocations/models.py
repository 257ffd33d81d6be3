"""Vouchers and allocations. Every amount is GPU-seconds of one type and lies in the ledger; these rows say whose."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
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
    # What expired or was clawed back before it was allocated; an allocation has its own.
    expired_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    imported = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="voucher_dates_in_order"),
            models.CheckConstraint(condition=Q(face_gpu_seconds__gt=0), name="voucher_face_positive"),
        ]


class Tranche(models.Model):
    """A part of a voucher's face value that is released later: until then a hold from the pool to the voucher."""

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        RELEASED = "released", _("Released")
        LOST = "lost", _("Lost")

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="tranches")
    number = models.PositiveIntegerField()
    amount_gpu_seconds = models.BigIntegerField()
    hold = models.UUIDField(unique=True)  # the ledger's transfer
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["voucher", "number"], name="tranche_once")]


@track()
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
    state_reason = models.CharField(max_length=400, blank=True)  # why it is suspended, expired or closed
    state_changed_at = models.DateTimeField(null=True)
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
        verbose_name = _("allocation")
        indexes = [models.Index(fields=["cluster", "state"]), models.Index(fields=["project", "state"])]
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="allocation_dates_in_order")
        ]


@track()
class Withdrawal(models.Model):
    """GPU-seconds on their way out of an allocation, in the order of the states below.

    waiting: wanted, but jobs' holds stand in the way; it takes what they give back, in the transaction that does so.
    requested: a ledger hold, allocation to voucher. Scheduler now lowers the limit in Slurm and reads it back.
    confirmed: posted. From then on, and not before, the GPU-seconds can be given to somebody else.
    """

    class Kind(models.TextChoices):
        MOVE = "move", _("Move to another allocation")
        RETURN = "return", _("Return to the voucher")
        CLAWBACK = "clawback", _("Clawback")
        EXPIRY = "expiry", _("Expiry")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting for running jobs")
        REQUESTED = "requested", _("Being taken out of the cluster")
        CONFIRMED = "confirmed", _("Done")
        CANCELLED = "cancelled", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)  # also the ledger hold's id
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="withdrawals")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    target = models.ForeignKey(Allocation, on_delete=models.PROTECT, null=True, related_name="moves_in")
    amount_gpu_seconds = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=State.choices)
    reason = models.CharField(max_length=400)
    requested_by = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("withdrawal")
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="move", target__isnull=False) | (~Q(kind="move") & Q(target__isnull=True)),
                name="withdrawal_move_has_target",
            ),
            models.CheckConstraint(condition=Q(amount_gpu_seconds__gt=0), name="withdrawal_amount_positive"),
        ]
        indexes = [
            models.Index(
                fields=["allocation", "state"],
                condition=Q(state__in=["waiting", "requested"]),
                name="withdrawal_open",
            )
        ]


class Refund(models.Model):
    """GPU-seconds of one charge given back to its allocation by an operator (a failed node, a fault of the centre).

    Slurm's counter keeps them, so the limit is raised by them. A negative row takes a refund back where slurmdbd later
    lowered the record: what was never charged in the end cannot be refunded.
    """

    id = models.UUIDField(primary_key=True)  # chosen by the caller, also the ledger transfer's id
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="refunds")
    charge = models.UUIDField(db_index=True)  # the charge's transfer
    amount_gpu_seconds = models.BigIntegerField()
    reason = models.CharField(max_length=400)
    refunded_by = models.CharField(max_length=120)
    created_at = models.DateTimeField()
