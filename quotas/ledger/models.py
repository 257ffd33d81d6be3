"""Accounts and transfers. One row per transfer names both accounts, so debits equal credits by construction.

The rules live in the database: the constraints below and the triggers and functions of migrations/0002_rules.sql.
Nothing writes these tables except those functions; `services.transfers_book` is the way in.
"""

from django.db import models
from django.db.models import F, Q


class Account(models.Model):
    """Four totals of one unit, kept by the database. Only the pending ones ever shrink, on post and void."""

    class Kind(models.TextChoices):
        SOURCE = "source"
        POOL = "pool"
        VOUCHER = "voucher"
        ALLOCATION = "allocation"
        CONSUMED = "consumed"
        EXPIRED = "expired"
        OVERRUN = "overrun"
        BUDGET = "budget"
        CONTRIBUTION = "contribution"
        VOUCHER_MONEY = "voucher_money"
        EARNED = "earned"

    unit = models.CharField(max_length=40)  # gpu:TYPE in GPU-seconds, or vnd
    kind = models.CharField(max_length=16, choices=Kind.choices)
    owner = models.CharField(max_length=120)  # what it belongs to, e.g. allocation:17; for people, not for joins
    may_overdraw = models.BooleanField(default=False)  # a trigger allows it to source, overrun and contribution only
    debits_pending = models.BigIntegerField(default=0)
    debits_posted = models.BigIntegerField(default=0)
    credits_pending = models.BigIntegerField(default=0)
    credits_posted = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="ledger_account_balance",
                condition=Q(may_overdraw=True) | Q(credits_posted__gte=F("debits_pending") + F("debits_posted")),
            ),
        ]


class Transfer(models.Model):
    """One movement between two accounts of one unit. Never changed, never deleted: a correction is a new transfer.

    The references carry no foreign key constraint: the insert trigger checks that they exist, and neither an account
    nor a transfer can ever be deleted, so nothing is left for a constraint to guard at three look-ups a row.
    """

    class Kind(models.TextChoices):
        DIRECT = "direct"  # moves the amount at once
        HOLD = "hold"  # reserves it on both sides
        POST = "post"  # resolves a hold: moves up to its amount and frees the rest
        VOID = "void"  # resolves a hold: frees all of it

    id = models.UUIDField(primary_key=True)  # chosen by the caller: the idempotency key
    kind = models.CharField(max_length=6, choices=Kind.choices)
    debit = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="debits"
    )
    credit = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="credits"
    )
    amount = models.BigIntegerField()
    resolves = models.ForeignKey(
        "self", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="resolutions"
    )
    batch = models.UUIDField()  # what was booked as one
    reason = models.CharField(max_length=200)
    event_at = models.DateTimeField()  # when it happened
    booked_at = models.DateTimeField()  # when the ledger learned of it
    expires_at = models.DateTimeField(null=True)  # when a hold should have been resolved
    actor = models.CharField(max_length=120)  # a person or a process

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="ledger_transfer_resolves", fields=["resolves"], condition=Q(resolves__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["debit", "booked_at"], name="ledger_transfer_debit"),
            models.Index(fields=["credit", "booked_at"], name="ledger_transfer_credit"),
            # A batch bears the id of its first transfer unless its caller named it: most transfers need no entry here.
            models.Index(fields=["batch"], name="ledger_transfer_batch", condition=~Q(batch=F("id"))),
        ]


class Closing(models.Model):
    """Until when the ledger is closed, one row or none: no transfer is booked before `until` any more, by a trigger."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    until = models.DateTimeField()
    closed_at = models.DateTimeField()
    actor = models.CharField(max_length=120)

    class Meta:
        constraints = [models.CheckConstraint(name="ledger_closing_one_row", condition=Q(id=1))]


class Verification(models.Model):
    """The result of the last `ledger_verify`, one row: what /metrics shows without reading the whole log again."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    verified_at = models.DateTimeField()
    duration_s = models.FloatField()
    transfers = models.BigIntegerField()
    drifted_accounts = models.BigIntegerField()
    unbalanced_units = models.BigIntegerField()
    overdrawn_accounts = models.BigIntegerField()
    overdue_holds = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="ledger_verification_one_row", condition=Q(id=1))]
