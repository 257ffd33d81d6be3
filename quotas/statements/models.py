"""Periods and statements. What is closed, issued or stored here is never changed: see migrations/0002_rules.sql.

A statement's truth is `content`, canonical JSON whose SHA-256 is `sha256`; every file is made from it, kept as bytes.
"""

import json
from typing import Any

from django.db import models
from django.db.models import Q

from portal.people.models import Organisation


class Period(models.Model):
    """A closed month of the centre. The ledger takes no transfer before `ends_at` any more."""

    month = models.DateField(primary_key=True)  # its first day
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField()
    closed_by = models.CharField(max_length=120)
    # How far issuing has come; the rest of the row never changes.
    organisations = models.PositiveIntegerField(default=0)  # that were looked at; those without anything get none
    issued_at = models.DateTimeField(null=True)  # when the last statement was issued

    class Meta:
        ordering = ["-month"]
        constraints = [models.CheckConstraint(condition=Q(month__day=1), name="period_is_a_month")]


class Year(models.Model):
    """The last number given in a year. Its row is locked while a statement is issued, so that no number is left out."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)


class Statement(models.Model):
    """One organisation's month. Corrected only by a later one that names it in `corrects`."""

    number = models.CharField(max_length=20, unique=True)  # SK-2026-11-00042: the month's year counts, without gaps
    year = models.PositiveSmallIntegerField()
    sequence = models.PositiveIntegerField()
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="statements")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="statements")
    content = models.TextField()  # canonical JSON (quotas/statements/canonical.py)
    sha256 = models.CharField(max_length=64)
    summary = models.JSONField()  # the totals of the content, for lists
    corrects = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="corrected_by")
    issued_at = models.DateTimeField()
    issued_by = models.CharField(max_length=120)

    class Meta:
        ordering = ["-period", "-sequence"]
        constraints = [
            models.UniqueConstraint(fields=["year", "sequence"], name="statement_number_once"),
            models.UniqueConstraint(
                fields=["period", "organisation"], condition=Q(corrects__isnull=True), name="statement_once"
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-period", "-sequence"], name="statement_of_organisation")]

    def __str__(self) -> str:
        return self.number

    def read(self) -> dict[str, Any]:
        """The content as values."""
        values: dict[str, Any] = json.loads(self.content)
        return values


class StatementFile(models.Model):
    """An issued file, as it was made once."""

    class Format(models.TextChoices):
        PDF = "pdf"
        XLSX = "xlsx"
        CSV = "csv"
        JSON = "json"

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="files")
    format = models.CharField(max_length=4, choices=Format.choices)
    language = models.CharField(max_length=5)  # "" for JSON, which has none
    content = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["format", "-language"]
        constraints = [
            models.UniqueConstraint(fields=["statement", "format", "language"], name="statement_file_once"),
        ]


class Check(models.Model):
    """What the last verification of a statement found. The only row about a statement that changes."""

    statement = models.OneToOneField(Statement, on_delete=models.CASCADE, related_name="verification")
    checked_at = models.DateTimeField()
    differences = models.JSONField(default=list)  # sentences for an auditor; empty: it agrees with the ledger
