"""Vouchers and allocations. Every amount is GPU-seconds of one type, or VND, and lies in the ledger; these rows say
whose."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Organisation, Project, User
from quotas.programmes.models import Programme
from quotas.proposals.models import Proposal


class VoucherNumber(models.Model):
    """The last number given in a year of the centre. Its row is the queue of those who award at the same time."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)


def every_commitment() -> list[str]:
    return list(Commitment.values)


class Commitment(models.TextChoices):
    """What an award asks of its organisation: the three parts of truly open AI."""

    FREE_USE = "free_use", _("Free use of the result")
    METHODS = "methods_published", _("Methods published")
    DATA = "data_licensed", _("Training data under a free licence")


_MONEY_FIELDS = (
    *("tariff_vnd_per_gpu_hour", "face_vnd", "state_basis_points", "state_share_vnd", "own_share_vnd"),
    *("money_account", "earned_account", "contribution_account"),
)


@track()
class Voucher(models.Model):
    """An award to an organisation. Its ledger account holds what is not yet allocated to a project.

    Its money lies in `money_account`, at the tariff of the day of the award: what the state pays of it comes from the
    programme's budget, what the organisation pays from `contribution_account`, which may overdraw because it is what
    the organisation owes. A programme without a budget in VND, and imported history, award no money.
    """

    number = models.CharField(max_length=20, unique=True)  # PHT-2026-00012: for people, letters and addresses
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
    tariff_vnd_per_gpu_hour = models.BigIntegerField(null=True)
    face_vnd = models.BigIntegerField(null=True)
    state_basis_points = models.PositiveIntegerField(null=True)
    state_share_vnd = models.BigIntegerField(null=True)
    own_share_vnd = models.BigIntegerField(null=True)
    money_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, null=True, related_name="+")
    earned_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, null=True, related_name="+")
    contribution_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, null=True, related_name="+")
    # The programme's clawback as it was on the day of the award; none where its day had come by then.
    clawback_on = models.DateField(null=True)
    clawback_basis_points = models.PositiveIntegerField(default=0)
    clawed_back_at = models.DateTimeField(null=True)
    changed_from = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="changed_to")
    commitments = models.JSONField(default=every_commitment)  # of Commitment: what close-out asks for
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("voucher")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="voucher_dates_in_order"),
            models.CheckConstraint(condition=Q(face_gpu_seconds__gt=0), name="voucher_face_positive"),
            models.CheckConstraint(
                condition=Q(**{f"{name}__isnull": True for name in _MONEY_FIELDS})
                | Q(
                    **{f"{name}__isnull": False for name in _MONEY_FIELDS},
                    state_share_vnd__gte=0,
                    own_share_vnd__gte=0,
                    face_vnd=F("state_share_vnd") + F("own_share_vnd"),
                ),
                name="voucher_shares_are_the_face_value",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def has_money(self) -> bool:
        return self.money_account_id is not None


@track()
class Tranche(models.Model):
    """A part of a voucher's face value that is released later: until then holds from the pool, the budget and the
    contribution to the voucher. Released on a day, or with an accepted progress report, or by an operator.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        RELEASED = "released", _("Released")
        LOST = "lost", _("Lost")

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="tranches")
    number = models.PositiveIntegerField()
    amount_gpu_seconds = models.BigIntegerField()
    state_vnd = models.BigIntegerField(default=0)
    own_vnd = models.BigIntegerField(default=0)
    # The ledger's transfer; those of the money, where there is any, bear ids made from it (services.money).
    hold = models.UUIDField(unique=True)
    release_on = models.DateField(null=True)
    needs_report = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    decided_at = models.DateTimeField(null=True)  # released or lost

    class Meta:
        verbose_name = _("tranche")
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["voucher", "number"], name="tranche_once")]

    @property
    def amount_vnd(self) -> int:
        return self.state_vnd + self.own_vnd


@track()
class ProgressReport(models.Model):
    """What an organisation shows for a tranche. An operator accepts it, which releases the tranche, or returns it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for an operator")
        ACCEPTED = "accepted", _("Accepted")
        RETURNED = "returned", _("Returned")

    tranche = models.ForeignKey(Tranche, on_delete=models.PROTECT, related_name="reports")
    text = models.TextField(_("report"), max_length=8_000)
    links = models.TextField(_("links"), max_length=2_000, blank=True)  # one a line, http(s)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    written_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    answer = models.TextField(_("answer"), max_length=4_000, blank=True)

    class Meta:
        verbose_name = _("progress report")
        ordering = ["-written_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["tranche"], condition=Q(state="waiting"), name="progress_report_one_waits"),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("written_by")),
                name="progress_report_another_person",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", decided_by__isnull=True, decided_at__isnull=True)
                | (~Q(state="waiting") & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="progress_report_state_is_whole",
            ),
        ]


@track()
class ChangeRequest(models.Model):
    """A manager asks for more GPU-hours, more time or another GPU type. An operator proposes it to a second person, or
    declines."""

    class Kind(models.TextChoices):
        MORE = "more", _("More GPU-hours")
        LONGER = "longer", _("A later end")
        GPU_TYPE = "gpu_type", _("Another GPU type")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for an operator")
        APPROVED = "approved", _("Approved, on its way")  # an exchange whose GPU-seconds are being withdrawn
        APPLIED = "applied", _("Applied")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    voucher = models.ForeignKey(Voucher, on_delete=models.PROTECT, related_name="change_requests")
    kind = models.CharField(_("what changes"), max_length=12, choices=Kind.choices)
    amount_gpu_seconds = models.BigIntegerField(null=True)  # more: added; gpu_type: the part that is exchanged
    ends_on = models.DateField(null=True)
    gpu_type = models.CharField(max_length=32, blank=True)
    reason = models.TextField(_("reason"), max_length=4_000)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, null=True, related_name="+")  # the last one
    answer = models.TextField(_("answer"), max_length=4_000, blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("change request")
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["voucher", "kind"], condition=Q(state="waiting"), name="change_one_waits"),
            models.CheckConstraint(
                condition=Q(kind="more", amount_gpu_seconds__gt=0, ends_on__isnull=True, gpu_type="")
                | Q(kind="longer", amount_gpu_seconds__isnull=True, ends_on__isnull=False, gpu_type="")
                | (Q(kind="gpu_type", amount_gpu_seconds__gt=0, ends_on__isnull=True) & ~Q(gpu_type="")),
                name="change_request_is_whole",
            ),
        ]


@track()
class CloseOut(models.Model):
    """The end of a voucher: what came of it, for everybody to read. While it is open the organisation gets no award."""

    class State(models.TextChoices):
        OPEN = "open", _("Report awaited")
        SUBMITTED = "submitted", _("Being checked")
        CLOSED = "closed", _("Closed")

    voucher = models.OneToOneField(Voucher, on_delete=models.PROTECT, related_name="close_out")
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    title = models.CharField(_("title of the result"), max_length=200, blank=True)
    summary = models.TextField(_("final report"), max_length=8_000, blank=True)
    model_link = models.URLField(_("link to the model"), max_length=400, blank=True)
    method_link = models.URLField(_("link to the method"), max_length=400, blank=True)
    data_link = models.URLField(_("link to the data"), max_length=400, blank=True)
    opened_at = models.DateTimeField()
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    submitted_at = models.DateTimeField(null=True)
    returned_reason = models.TextField(max_length=4_000, blank=True)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("close-out")
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_by__isnull=True) | ~Q(closed_by=F("submitted_by")), name="close_out_another_person"
            )
        ]


@track()
class CommitmentCheck(models.Model):
    """What an operator found about one commitment, and where."""

    close_out = models.ForeignKey(CloseOut, on_delete=models.PROTECT, related_name="checks")
    commitment = models.CharField(max_length=24, choices=Commitment.choices)
    is_met = models.BooleanField(_("met"))
    evidence = models.TextField(_("evidence"), max_length=2_000)
    checked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    checked_at = models.DateTimeField()

    class Meta:
        verbose_name = _("check of a commitment")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["close_out", "commitment"], name="commitment_checked_once")]


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
    moving: only of a move to another cluster: posted, and held in the voucher for the target until its worker takes it.
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
        MOVING = "moving", _("On its way to the other cluster")
        CONFIRMED = "confirmed", _("Done")
        CANCELLED = "cancelled", _("Cancelled")

    OPEN_STATES = (State.WAITING, State.REQUESTED, State.MOVING)
    TO_OTHERS = (Kind.MOVE, Kind.RETURN)  # somebody gets to spend it elsewhere

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)  # also the ledger hold's id
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="withdrawals")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    target = models.ForeignKey(Allocation, on_delete=models.PROTECT, null=True, related_name="moves_in")
    amount_gpu_seconds = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=State.choices)
    reason = models.CharField(max_length=400)
    requested_by = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    lowered_at = models.DateTimeField(null=True)  # a move's first half, to another cluster
    resolved_at = models.DateTimeField(null=True)
    raised_at = models.DateTimeField(null=True)  # the other cluster's higher limit was read back

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
                condition=Q(state__in=["waiting", "requested", "moving"]),
                name="withdrawal_open",
            )
        ]

    @property
    def is_between_clusters(self) -> bool:
        return self.target is not None and self.target.cluster != self.allocation.cluster

    @property
    def is_open_move(self) -> bool:
        """Whether it can still be taken back."""
        return self.kind == self.Kind.MOVE and self.state in self.OPEN_STATES

    @property
    def goes_to_others(self) -> bool:
        return self.kind in self.TO_OTHERS


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
