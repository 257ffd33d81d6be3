"""What the nodes' hooks said, the intervals made of it, and what jobs declared of their own FLOPs."""

from django.db import models

from scheduler.clusters.models import Cluster


class Exporter(models.Model):
    """One node's exporter: how far its spool was read, and whether it answers."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="exporters")
    node = models.CharField(max_length=64)
    spool = models.CharField(max_length=64, blank=True)  # another one: the node was set up anew, or lost its disk
    read_n = models.BigIntegerField(default=0)  # the last event that was taken over
    newest_n = models.BigIntegerField(default=0)  # the last one there was when it answered
    answered_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    error = models.CharField(max_length=300, blank=True)
    lost_events = models.BigIntegerField(default=0)  # gone from the spool before they were read
    spools = models.PositiveIntegerField(default=0)  # how many there have been

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "node"], name="exporter_once")]
        ordering = ["node"]


class HookEvent(models.Model):
    """A line of a spool. Kept as long as a run's record may still change (`services.EVENTS_KEPT`)."""

    exporter = models.ForeignKey(Exporter, on_delete=models.CASCADE, related_name="events")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    spool = models.CharField(max_length=64)
    n = models.BigIntegerField()
    kind = models.CharField(max_length=5)
    job_id_raw = models.BigIntegerField()
    uid = models.BigIntegerField()
    at = models.DateTimeField()  # on the node's clock
    gpus = models.JSONField(default=list)  # empty at an end: all that the job had on the node

    class Meta:
        constraints = [models.UniqueConstraint(fields=["exporter", "spool", "n"], name="hook_event_once")]
        indexes = [
            models.Index(fields=["cluster", "job_id_raw"], name="hook_event_job"),
            models.Index(fields=["at"], name="hook_event_at"),
        ]


class Interval(models.Model):
    """A GPU or MIG slice, by its UUID, and the run that owned it. Made anew whenever events or records say otherwise.

    `submit_at` names the run among those of its job number, as in slurmdbd; NULL: no run of ours is known, nothing is
    charged. What the times mean: monitoring/attribution/core.py.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    node = models.CharField(max_length=64)
    uuid = models.CharField(max_length=64)
    job_id_raw = models.BigIntegerField()
    submit_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    charged_from = models.DateTimeField(null=True)
    charged_to = models.DateTimeField(null=True)
    start_known = models.CharField(max_length=8)
    end_known = models.CharField(max_length=8)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "uuid", "job_id_raw", "submit_at"],
                condition=models.Q(submit_at__isnull=False),
                name="interval_once",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None) | models.Q(ended_at__gte=models.F("started_at")),
                name="interval_forward",
            ),
        ]
        indexes = [
            models.Index(fields=["cluster", "job_id_raw"], name="interval_job"),
            models.Index(fields=["ended_at", "started_at"], name="interval_time"),
            models.Index(fields=["cluster"], condition=models.Q(ended_at=None), name="interval_open"),
        ]


class Change(models.Model):
    """Intervals changed within these times: what was counted there is counted anew. Gone when that is noted."""

    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()


class Declared(models.Model):
    """FLOPs that a run declared on a node, cumulative, as of the end of each day on which the figure grew."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    node = models.CharField(max_length=64)
    job_id_raw = models.BigIntegerField()
    began_at = models.DateTimeField()  # when the job's folder was made there: tells the runs of a number apart
    precision = models.CharField(max_length=12)
    sparsity = models.CharField(max_length=8)
    day = models.DateField()  # of the centre
    flop_total = models.DecimalField(max_digits=40, decimal_places=0)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "node", "job_id_raw", "began_at", "precision", "sparsity", "day"],
                name="declared_once",
            )
        ]
        indexes = [models.Index(fields=["cluster", "job_id_raw"], name="declared_job")]


class Refused(models.Model):
    """What a job declared and its exporter did not take, and why: one of a closed list."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    node = models.CharField(max_length=64)
    job_id_raw = models.BigIntegerField()
    uid = models.BigIntegerField()
    reason = models.CharField(max_length=40)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "node", "job_id_raw", "reason"], name="refused_once")]


class Progress(models.Model):
    """How far something that follows settlement's records has come, by their `read_at`."""

    name = models.CharField(max_length=24, unique=True)
    until = models.DateTimeField()
    number = models.BigIntegerField(default=0)  # of the last one that was read at that very moment
