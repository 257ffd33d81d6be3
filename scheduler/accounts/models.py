"""What the portal made on a cluster, what it last wanted there, and the counters beside what they should be."""

from django.db import models

from scheduler.clusters.models import Cluster


class OwnedName(models.Model):
    """An account or QOS that the portal made on a cluster. Nothing else there is ever touched.

    Written before Slurm is asked to make it, and only for a name that was free: a crash in between loses nothing.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="owned_names")
    kind = models.CharField(max_length=12)  # account, qos
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "kind", "name"], name="owned_name_once")]


class LimitReading(models.Model):
    """Per QOS: what was last wanted and read back from slurmctld, and its usage counter beside what it should be."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="limit_readings")
    qos = models.CharField(max_length=80)
    wanted_minutes = models.BigIntegerField()
    read_minutes = models.BigIntegerField(null=True)
    usage_raw_gpu_seconds = models.BigIntegerField(null=True)
    expected_usage_gpu_seconds = models.BigIntegerField(null=True)
    counter_gap_gpu_seconds = models.BigIntegerField(default=0)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "qos"], name="limit_reading_once")]


class StoredPlan(models.Model):
    """What the last cycle left to do, for the operators' page: one row per cluster, overwritten every cycle."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="stored_plan")
    made_at = models.DateTimeField()
    actions = models.JSONField(default=list)  # [{verb, kind, name, is_blocked, changes: [{field, from, to}]}]
    notes = models.JSONField(default=list)  # [{code, name, about}]
    errors = models.JSONField(default=list)  # what Slurm refused in that cycle, in its words
    removals_withheld = models.PositiveIntegerField(default=0)  # more than the cap: nothing was removed
    digest = models.CharField(max_length=64)  # of the actions: an operator applies what they saw
    applied_at = models.DateTimeField(null=True)  # when something was last changed
    applied_changes = models.PositiveIntegerField(default=0)  # how many objects then
