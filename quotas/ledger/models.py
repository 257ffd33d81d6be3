"""Accounts and transfers. One row per transfer names both accounts, so debits equal credits by construction."""

from django.db import models


class Account(models.Model):
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
    may_overdraw = models.BooleanField(default=False)
    debits_pending = models.BigIntegerField(default=0)
    debits_posted = models.BigIntegerField(default=0)
    credits_pending = models.BigIntegerField(default=0)
    credits_posted = models.BigIntegerField(default=0)
