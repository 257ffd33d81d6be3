"""Tokens: how a person's programs speak for the person, within limits.

The token itself is shown once and is nowhere here: 256 random bits need no salt and no slow hash, SHA-256 is enough.
"""

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Project, User

LONGEST = timedelta(days=365)


@track(exclude=["digest", "last_used_at"])
class Token(models.Model):
    """One program's way in. `project`: only what belongs to it, where given."""

    class Scope(models.TextChoices):
        READ = "read", _("Read: jobs, logs, files, projects and balances")
        SUBMIT = "submit", _("Submit jobs and estimate them")
        OPERATE = "operate", _("Act on jobs: cancel, hold, release, requeue, more time")

    user = models.ForeignKey(User, verbose_name=_("person"), on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(_("begins with"), max_length=12)  # enough to tell one's own tokens apart
    scopes = ArrayField(models.CharField(max_length=8), verbose_name=_("what it may do"))
    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.CASCADE, null=True, related_name="+"
    )
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("ends"))
    last_used_at = models.DateTimeField(_("last used"), null=True)  # to within five minutes
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    class Meta:
        verbose_name = _("API token")
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["user", "-created_at"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=["read", "submit", "operate"], scopes__len__gt=0),
                name="token_scopes_known",
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__lte=models.F("created_at") + LONGEST), name="token_a_year_at_most"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def is_live(self, moment: datetime) -> bool:
        return self.revoked_at is None and moment < self.expires_at

    def covers(self, project_id: int) -> bool:
        return self.project_id in (None, project_id)
