"""What makes energy of GPUs the centre's energy and CO₂, and the figures that were published of the nation."""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.people.models import User

_NEVER_CHANGED = pgtrigger.Protect(name="never_changed", operation=pgtrigger.Update | pgtrigger.Delete)


class EnergyFactor(models.Model):
    """A figure from a day on, with its source. A row is never changed: who was wrong enters another one for the same
    day, and of several the last one counts."""

    class Kind(models.TextChoices):
        PUE = "pue", _("PUE: the centre's energy ÷ that of its computers")
        GRID = "grid", _("Emission factor of the grid, t CO₂ per MWh")

    kind = models.CharField(_("figure"), max_length=8, choices=Kind.choices)
    value = models.DecimalField(_("value"), max_digits=8, decimal_places=4)
    valid_from = models.DateField(_("valid from"))  # a day of the centre
    source = models.CharField(_("source"), max_length=400)
    entered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField()

    class Meta:
        ordering = ["kind", "-valid_from", "-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(source=""), name="energy_factor_has_a_source"),
            models.CheckConstraint(
                condition=Q(kind="pue", value__gte=1, value__lte=5) | Q(kind="grid", value__gte=0, value__lte=3),
                name="energy_factor_is_possible",
            ),
        ]
        triggers = [_NEVER_CHANGED]


class Publication(models.Model):
    """The nation's figures of a quarter, as they were made public: once, and never changed. What is learned later stays
    inside, because two figures of the same quarter would show the difference between them."""

    quarter = models.CharField(max_length=7, unique=True)  # 2026-Q3
    content = models.JSONField()  # of monitoring/reports/nation/figures.py
    published_at = models.DateTimeField()

    class Meta:
        ordering = ["-quarter"]
        triggers = [_NEVER_CHANGED]
