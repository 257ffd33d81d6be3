"""What was uploaded. Bytes lie on the disk by their hash (`disk.py`), once; every upload has a row of its own.

A row is never changed. Other apps refer to it by a foreign key with on_delete=PROTECT, or register what else refers to
it (`references.py`); rows that nothing refers to are dropped after a day.
"""

from uuid import uuid4

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import User


@track()
class StoredFile(models.Model):
    """One upload. The id says nothing about who may read it: that is the question of the app that refers to it."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    sha256 = models.CharField(_("SHA-256"), max_length=64, db_index=True)
    size_bytes = models.BigIntegerField(_("size in bytes"))
    name = models.CharField(_("file name"), max_length=200)  # for people; names.name_clean made it
    content_type = models.CharField(_("type"), max_length=100)  # by content
    uploaded_by = models.ForeignKey(User, verbose_name=_("uploaded by"), on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("file")
        constraints = [
            models.CheckConstraint(condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"), name="stored_file_sha256"),
            models.CheckConstraint(condition=models.Q(size_bytes__gt=0), name="stored_file_not_empty"),
            models.CheckConstraint(
                condition=~models.Q(name="") & ~models.Q(name__regex=r"[/\\]"), name="stored_file_name_is_no_path"
            ),
        ]
        triggers = [pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return self.name


class Verification(models.Model):
    """The result of the last `files_verify`, one row: what /metrics shows without reading every file again."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    verified_at = models.DateTimeField()
    duration_s = models.FloatField()
    missing = models.BigIntegerField()
    damaged = models.BigIntegerField()
    orphaned = models.BigIntegerField()
    exposed = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="files_verification_one_row", condition=models.Q(id=1))]
