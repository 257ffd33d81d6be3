"""Presets as operators keep them. Those that came with the product are files; each is its preset's version 0.

Nothing here is ever changed or deleted: a version stays what its jobs were made from, and what is offered follows from
the last decision about it.
"""

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import User

REASON_LENGTH = 400


@track(exclude=["definition", "script"])  # they never change: the row has them
class PresetVersion(models.Model):
    """The texts of a preset's two files. Perhaps unfinished: whether it holds together is asked when it is offered."""

    slug = models.SlugField(_("short name"), max_length=30)
    version = models.PositiveIntegerField(_("version"))
    definition = models.TextField(_("definition"))  # NAME.toml as presets.writing writes it
    script = models.TextField(_("script"))  # NAME.sh
    made_from = models.PositiveIntegerField(null=True)  # the version that it was edited from; NULL: none
    why = models.CharField(_("why"), max_length=REASON_LENGTH)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slug", "version"], name="preset_version_once"),
            models.CheckConstraint(condition=models.Q(version__gt=0), name="preset_version_is_not_the_files"),
        ]
        ordering = ["slug", "-version"]
        triggers = [pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update | pgtrigger.Delete)]
        verbose_name = _("version of a preset")

    def __str__(self) -> str:
        return f"{self.slug} {self.version}"


@track()
class PresetOffer(models.Model):
    """A decision about what is offered under a preset's short name: a version of it, or nothing any more.

    The last one counts. `number` is the next after the one that whoever decided had seen: two who decide at once cannot
    both.
    """

    slug = models.SlugField(_("short name"), max_length=30)
    number = models.PositiveIntegerField()
    is_withdrawn = models.BooleanField(_("withdrawn"), default=False)
    version = models.ForeignKey(  # NULL of an offer: the product's own file, version 0
        PresetVersion, verbose_name=_("version"), on_delete=models.PROTECT, null=True, related_name="offers"
    )
    why = models.CharField(_("why"), max_length=REASON_LENGTH)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["slug", "number"], name="preset_offer_one_after_another"),
            models.CheckConstraint(
                condition=models.Q(is_withdrawn=False) | models.Q(version=None), name="preset_offer_or_withdrawal"
            ),
        ]
        ordering = ["slug", "-number"]
        triggers = [pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update | pgtrigger.Delete)]
        verbose_name = _("offer of a preset")

    def __str__(self) -> str:
        return f"{self.slug} {self.number}"

    @property
    def edition(self) -> int:
        return self.version.version if self.version else 0
