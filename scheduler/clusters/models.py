"""Clusters as the portal knows them, and the last snapshot that a worker took. The web reads only these rows."""

import uuid

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import User


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
    # What a job gets beside each GPU unless it asks otherwise (DefCpuPerGPU, DefMemPerGPU); 0: Slurm does not say.
    cpus_per_gpu = models.PositiveIntegerField(default=0)
    memory_mb_per_gpu = models.PositiveIntegerField(default=0)
    cpus_per_node = models.PositiveIntegerField(default=0)
    is_up = models.BooleanField(default=True)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="partition_once")]

    @property
    def is_cpu(self) -> bool:
        """No GPUs at all. (One with several types has no type either, but has GPUs.)"""
        return bool(self.nodes) and not self.gpus_per_node


@track()
class GpuSlice(models.Model):
    """A GPU type that is a part of another one (NVIDIA MIG): `parts` of the `whole` compute slices of a `parent`.

    Its jobs use the parent's allocations; a GPU-second of it costs parts/whole of one of the parent's. What was charged
    with a share is compared with that share for ever, so a row never changes, and goes only while no job has used it.
    """

    gpu_type = models.CharField(max_length=32, unique=True)  # Slurm's GRES type, in lower case
    parent = models.CharField(max_length=32)
    parts = models.PositiveSmallIntegerField()
    whole = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(parts__gt=0, whole__gt=models.F("parts")) & ~models.Q(parent=models.F("gpu_type")),
                name="gpu_slice_is_a_part",
            )
        ]
        triggers = [
            pgtrigger.Protect(name="gpu_slice_never_changes", operation=pgtrigger.Update),
            # Whoever mistyped one forgets it and makes it known anew; later it is what charges are compared with.
            pgtrigger.Trigger(
                name="gpu_slice_used_stays",
                operation=pgtrigger.Delete,
                when=pgtrigger.Before,
                func="""
                    IF EXISTS (SELECT 1 FROM settlement_record WHERE gpu_type = OLD.gpu_type)
                        OR EXISTS (SELECT 1 FROM jobs_job WHERE gpu_type = OLD.gpu_type) THEN
                        RAISE EXCEPTION 'jobs have used %', OLD.gpu_type USING ERRCODE = 'restrict_violation';
                    END IF;
                    RETURN OLD;
                """,
            ),
        ]


@track()
class QosRule(models.Model):
    """What one person may have at once where GPU-hours do not bound it: the CPU partition, and sandbox allocations.

    A cluster without the rule for `cpu` offers its CPU partition to nobody.
    """

    class Kind(models.TextChoices):
        CPU = "cpu", _("Preparing data, without GPUs")
        SANDBOX = "sandbox", _("Sandbox")

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="qos_rules")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    time_limit_s = models.PositiveIntegerField(_("longest job, seconds"))
    jobs = models.PositiveIntegerField(_("running jobs of a person"))
    queued = models.PositiveIntegerField(_("running and waiting jobs of a person"))
    cpus = models.PositiveIntegerField(_("CPUs of a person"), default=0)  # cpu only
    gpus = models.PositiveIntegerField(_("GPUs of a person"), default=0)  # sandbox only

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "kind"], name="qos_rule_once"),
            models.CheckConstraint(
                condition=models.Q(time_limit_s__gte=60, jobs__gt=0, queued__gte=models.F("jobs"))
                & (models.Q(kind="cpu", cpus__gt=0, gpus=0) | models.Q(kind="sandbox", gpus__gt=0)),
                name="qos_rule_bounds",
            ),
        ]


class Reservation(models.Model):
    """Nodes that an operator set aside in Slurm for some accounts or people, as last seen."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="reservations")
    name = models.CharField(max_length=120)
    partition = models.CharField(max_length=64, blank=True)  # "": any
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    nodes = models.PositiveIntegerField(default=0)
    gpus = models.PositiveIntegerField(default=0)  # of the nodes set aside; 0 where Slurm does not say
    accounts = models.JSONField(default=list)  # Slurm's names
    users = models.JSONField(default=list)  # unix accounts
    is_maintenance = models.BooleanField(default=False)  # for upkeep: nobody's jobs
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="reservation_once")]
        ordering = ["starts_at", "name"]


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


@track()
class NodeOrder(models.Model):
    """An operator's order that a node that was taken out works again, for the reason that they saw, or that it is taken
    out, for the reason that they give. The cluster's worker carries it out and writes down what came of it."""

    class Verb(models.TextChoices):
        RESUME = "resume", _("Let it work again")
        DRAIN = "drain", _("Take it out")

    class State(models.TextChoices):
        ASKED = "asked", _("On its way")
        DONE = "done", _("Done")
        REFUSED = "refused", _("Not possible")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="node_orders")
    node = models.CharField(max_length=128)
    verb = models.CharField(max_length=8, choices=Verb.choices, default=Verb.RESUME)
    seen = models.TextField(blank=True)  # Slurm's reason, with who and when; of a node that is taken out the operator's
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.ASKED)
    reason = models.TextField(blank=True)  # why not: a code of upkeep's, or Slurm's words
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "node"], condition=models.Q(state="asked"), name="node_order_one_at_a_time"
            )
        ]
        indexes = [models.Index(fields=["cluster", "-asked_at"])]
        ordering = ["-asked_at", "-id"]
