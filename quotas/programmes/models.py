"""Funding sources. A programme's budget of one GPU type is a ledger account; every voucher comes out of one."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track


@track()
class Programme(models.Model):
    """A funding source. Its budget by GPU type lies in ledger pools (`ProgrammePool`)."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    slug = models.SlugField(max_length=40, unique=True)
    imported = models.BooleanField(default=False)  # the one programme from which imported history is granted
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("to"))
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("programme")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_on__gte=models.F("starts_on")), name="programme_dates_in_order"
            ),
            models.UniqueConstraint(
                fields=["imported"], condition=models.Q(imported=True), name="programme_imported_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProgrammePool(models.Model):
    """A programme's budget of one GPU type, in GPU-seconds: a ledger account, funded from a source."""

    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="pools")
    gpu_type = models.CharField(max_length=32)  # Slurm's GRES type in lower case
    account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")
    source_account = models.OneToOneField("ledger.Account", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["gpu_type"]
        constraints = [models.UniqueConstraint(fields=["programme", "gpu_type"], name="programme_pool_once")]
