"""Clusters as the portal knows them, and the last snapshot that a worker took. The web reads only these rows."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track


@track()
class Cluster(models.Model):
    """One Slurm cluster. How to reach it (paths, sudo) is local configuration of its worker, never in the database.

    A retired one takes nothing new: no allocation, no move, no job. Its worker follows what is there to its end.
    """

    name = models.SlugField(max_length=40, unique=True)  # Slurm's own ClusterName
    title = models.CharField(_("name for people"), max_length=120)
    about = models.CharField(_("description"), max_length=400, blank=True)
    account_prefix = models.CharField(max_length=12, default="sl-")  # only accounts and QOS with it are ours
    # Seconds by which a job may run past its limit: polling of limits + KillWait. Holds and the published bound use it.
    overshoot_s = models.PositiveIntegerField(default=60)
    removals_cap = models.PositiveIntegerField(default=20)  # cluster_apply refuses more removals than this at once
    is_active = models.BooleanField(default=True)  # its worker follows it
    retired_at = models.DateTimeField(null=True)
    retired_reason = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.title

    @property
    def takes_new(self) -> bool:
        return self.is_active and self.retired_at is None


class Partition(models.Model):
    """A partition with its one GPU type and the limits that the preflight checks, as last read from Slurm."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="partitions")
    name = models.CharField(max_length=64)
    gpu_type = models.CharField(max_length=32, blank=True)  # "" for a CPU partition
    nodes = models.PositiveIntegerField(default=0)
    gpus_per_node = models.PositiveIntegerField(default=0)
    max_time_s = models.PositiveIntegerField(default=0)
    default_time_s = models.PositiveIntegerField(default=0)
    is_up = models.BooleanField(default=True)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="partition_once")]


class Snapshot(models.Model):
    """What the worker last saw: one row per cluster, overwritten every cycle."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="snapshot")
    taken_at = models.DateTimeField()
    reachable = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    slurmctld_booted_at = models.DateTimeField(null=True)
    slurmdbd_queue = models.PositiveIntegerField(default=0)  # sdiag's DBD agent queue size
    nodes = models.JSONField(default=list)
    occupancy = models.JSONField(default=dict)  # occupancy.Occupancy.as_json
    pending_jobs = models.PositiveIntegerField(default=0)
    running_jobs = models.PositiveIntegerField(default=0)
