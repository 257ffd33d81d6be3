"""Findings, and the rules by which the portal itself ends jobs that leave their GPUs idle."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.audit.tracking import track
from portal.people.models import User
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job


@track(exclude=["seen_at", "clear_since", "evidence"])
class Finding(models.Model):
    """One subject and kind from when it was first seen until it is gone; at most one open row for both.

    `warned` counts the steps that were taken: the person was told, the project was told, the job was cancelled.
    """

    class Kind(models.TextChoices):
        IDLE = "idle_gpus", _("GPUs of a job do nothing")
        SILENT = "silent_zero", _("Figures that do not fit each other")
        ABOVE = "above_possible", _("Declared more than is possible")
        SICK = "sick_gpu", _("Sick GPU")
        EXPORTER = "exporter", _("Nothing is heard of a node")

    class State(models.TextChoices):
        OPENED = "opened", pgettext_lazy("a finding", "Found")
        NOTIFIED = "notified", _("Somebody was told")
        ACKNOWLEDGED = "acknowledged", _("Being seen to")
        CLOSED = "closed", _("Gone")

    PERSON, PROJECT, CANCELLED = 1, 2, 3
    OF_JOBS = (Kind.IDLE, Kind.SILENT, Kind.ABOVE)

    kind = models.CharField(max_length=16, choices=Kind.choices)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    subject = models.CharField(max_length=100)  # a job's id, a GPU's UUID, a node
    job = models.ForeignKey(Job, on_delete=models.CASCADE, null=True, related_name="findings")
    node = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPENED)
    warned = models.PositiveSmallIntegerField(default=0)
    warned_at = models.DateTimeField(null=True)
    evidence = models.JSONField(default=dict)  # as of `seen_at`; what is in it: words.py
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # when it was last so
    clear_since = models.DateTimeField(null=True)  # since when every look said that it is not
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "cluster", "subject"], condition=~models.Q(state="closed"), name="finding_open_once"
            ),
            models.CheckConstraint(
                condition=models.Q(state="closed", closed_at__isnull=False)
                | (~models.Q(state="closed") & models.Q(closed_at=None)),
                name="finding_closed_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["job"], condition=~models.Q(state="closed"), name="finding_of_job"),
            models.Index(fields=["-opened_at"], name="finding_newest"),
        ]
        ordering = ["-opened_at", "-pk"]

    @property
    def is_open(self) -> bool:
        return self.state != self.State.CLOSED


@track()
class CancelRule(models.Model):
    """Whether jobs that leave their GPUs idle are cancelled: of one cluster or of one programme, which comes before its
    cluster's. Without a row nothing is cancelled."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, null=True, related_name="+")
    programme = models.OneToOneField(Programme, on_delete=models.CASCADE, null=True, related_name="+")
    cancels = models.BooleanField()
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(cluster__isnull=False, programme=None)
                | models.Q(cluster=None, programme__isnull=False),
                name="cancel_rule_of_one",
            )
        ]
