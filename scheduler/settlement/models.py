"""slurmdbd's records as last read, what was charged for each, and how far the reading has come."""

from django.db import models

from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster


class Record(models.Model):
    """One slurmdbd record. Key: cluster, JobIDRaw, submit time (its own unique key; Start and DBIndex change)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="records")
    job_id_raw = models.BigIntegerField()
    submit_at = models.DateTimeField()
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, null=True, related_name="records")
    job_id = models.CharField(max_length=40)  # Slurm's display form: 25_1, 12+0
    account = models.CharField(max_length=120)
    user = models.CharField(max_length=64)
    qos = models.CharField(max_length=120, blank=True)
    partition = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=24)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    elapsed_s = models.BigIntegerField(default=0)
    gpu_type = models.CharField(max_length=32, blank=True)
    gpus = models.PositiveIntegerField(default=0)
    gpu_seconds = models.BigIntegerField(default=0)  # gpus × elapsed_s as last read
    charged_gpu_seconds = models.BigIntegerField(default=0)  # what the ledger has for it, corrections included
    revision = models.PositiveIntegerField(default=0)  # counts corrections of a record that changed after its charge
    is_final = models.BooleanField(default=False)
    imported = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "job_id_raw", "submit_at"], name="record_once")]
        indexes = [
            models.Index(fields=["allocation", "ended_at"]),
            models.Index(fields=["cluster", "job_id_raw"], condition=models.Q(is_final=False), name="record_not_final"),
        ]


class Cursor(models.Model):
    """How far a cluster's records were read. Moved after the charges of the window were committed, never before."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="cursor")
    read_until = models.DateTimeField()
    swept_at = models.DateTimeField(null=True)  # the last wide sweep
    updated_at = models.DateTimeField()
