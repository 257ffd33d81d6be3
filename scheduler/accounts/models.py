from django.db import models

from scheduler.clusters.models import Cluster


class OwnedName(models.Model):
    """An account, user association or QOS that the portal made on a cluster. Nothing else there is ever touched."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="owned_names")
    kind = models.CharField(max_length=12)  # account, qos
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "kind", "name"], name="owned_name_once")]


class LimitReading(models.Model):
    """Per QOS: what was last wanted, written and read back, and slurmctld's usage counter beside what it should be."""

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
