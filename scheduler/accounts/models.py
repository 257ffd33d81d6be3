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


class OutsideChange(models.Model):
    """What somebody else did to what the portal made on a cluster: sacctmgr by hand, as slurmdbd wrote it down."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="outside_changes")
    number = models.BigIntegerField()  # slurmdbd's; it begins anew where its database was restored
    at = models.DateTimeField()  # slurmdbd's clock
    actor = models.CharField(max_length=64)  # unix account
    verb = models.CharField(max_length=40)  # "Modify Associations"
    what = models.TextField()  # slurmdbd's own words: which objects, and what was set
    names = models.JSONField()  # the accounts and QOS of ours that it touched
    differs = models.BooleanField()  # whether the plan had something to repair there when it was seen
    seen_at = models.DateTimeField()
    repaired_at = models.DateTimeField(null=True)  # read back as the portal wants it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "number", "at"], name="outside_change_once")]
        ordering = ["-at", "-number"]


class StoredPlan(models.Model):
    """What the last cycle left to do, for the operators' page: one row per cluster, overwritten every cycle."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="stored_plan")
    made_at = models.DateTimeField()
    actions = models.JSONField(default=list)  # [{verb, kind, name, is_blocked, changes: [{field, from, to}]}]
    notes = models.JSONField(default=list)  # [{code, name, about}]
    errors = models.JSONField(default=list)  # what Slurm refused in that cycle, in its words
    removals_withheld = models.PositiveIntegerField(default=0)  # more than the cap: nothing was removed
    tree_faults = models.JSONField(default=list)  # of slurmdbd's tree of accounts: nothing is removed or moved
    tree_checked_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64)  # of the actions: an operator applies what they saw
    outside_read_at = models.DateTimeField(null=True)  # up to when changes by others were read
    applied_at = models.DateTimeField(null=True)  # when something was last changed
    applied_changes = models.PositiveIntegerField(default=0)  # how many objects then
