"""slurmdbd's records as last read, what was charged for each, how far the reading has come, and what came of it."""

from datetime import datetime

from django.db import models

from portal.people.models import Project
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job


class Record(models.Model):
    """One slurmdbd record. Key: cluster, JobIDRaw, submit time (its own unique key; Start and DBIndex change)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="records")
    job_id_raw = models.BigIntegerField()
    submit_at = models.DateTimeField()
    charge = models.UUIDField(unique=True)  # made from the key; the ledger's transfers of this record carry it
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
    # How long it was suspended: not in elapsed_s and not charged, but in slurmctld's counter and in sreport.
    suspended_s = models.PositiveIntegerField(default=0, db_default=0)
    gpu_type = models.CharField(max_length=32, blank=True)
    gpus = models.PositiveIntegerField(default=0)
    gpu_seconds = models.BigIntegerField(default=0)  # gpus × elapsed_s as last read, of slices their share
    # What slurmctld's counter has of it and nobody is charged for: suspended time, and what a slice is less than a GPU.
    uncharged_gpu_seconds = models.BigIntegerField(default=0, db_default=0)
    charged_gpu_seconds = models.BigIntegerField(default=0)  # what the ledger has for it, corrections included
    overrun_gpu_seconds = models.BigIntegerField(default=0)  # the part of it that the centre bears
    revision = models.PositiveIntegerField(default=0)  # counts corrections of a record that changed after its charge
    is_final = models.BooleanField(default=False)
    # An operator's word that its charge stands, whatever became of the record in slurmdbd.
    kept = models.ForeignKey("Kept", on_delete=models.PROTECT, null=True, related_name="records", db_index=False)
    imported = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "job_id_raw", "submit_at"], name="record_once")]
        indexes = [
            models.Index(fields=["allocation", "ended_at"]),
            models.Index(fields=["cluster", "job_id_raw"], condition=models.Q(is_final=False), name="record_not_final"),
            models.Index(
                fields=["allocation"], condition=models.Q(uncharged_gpu_seconds__gt=0), name="record_uncharged"
            ),
            models.Index(fields=["read_at", "id"], name="record_read"),  # for who follows what was read
        ]


class Kept(models.Model):
    """An operator said: these records are gone from slurmdbd, or went back in time, and their charges stand.

    A database restored from a backup loses records; a purge by hand removes them. Nothing is booked for it. The
    records named here stop being differences, and are counted apart.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    kept_at = models.DateTimeField()
    actor = models.CharField(max_length=80)  # as in the ledger
    reason = models.CharField(max_length=400)
    records_count = models.BigIntegerField()
    gpu_seconds = models.BigIntegerField()  # charged, and not in slurmdbd then

    class Meta:
        ordering = ["-kept_at", "-id"]


class Cursor(models.Model):
    """How far a cluster's records were read. Moved after the charges of the window were committed, never before.

    The times of the reading are on slurmctld's clock, which writes those of records.
    """

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="cursor")
    read_until = models.DateTimeField()
    swept_at = models.DateTimeField(null=True)  # the last wide sweep
    updated_at = models.DateTimeField()
    clock_ahead_s = models.IntegerField(default=0)  # slurmctld's clock beside the portal's

    def read_age_s(self, moment: datetime) -> float:
        """How long ago, on the portal's clock, everything had been read."""
        return (moment - self.read_until).total_seconds() + self.clock_ahead_s


class HeldJob(models.Model):
    """A job of the portal that waits without a hold in the ledger, and is therefore held in Slurm.

    The row is written first and the job held after it, and released before the row goes: whatever breaks in between,
    the next cycle finds the row and does the rest.
    """

    class Why(models.TextChoices):
        DISPLACED = "displaced"  # a job that Slurm started outside the portal needed its hold
        REQUEUED = "requeued"  # the balance did not reach for another run

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="held")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    why = models.CharField(max_length=12, choices=Why.choices)
    since = models.DateTimeField()


class ImportedAccount(models.Model):
    """Which project the history of a Slurm account belongs to that the portal did not make."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    account = models.CharField(max_length=120)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "account"], name="imported_account_once")]


class Reconciliation(models.Model):
    """Ledger, slurmdbd and slurmctld's counter compared, as a worker or a command found them."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="reconciliations")
    taken_at = models.DateTimeField()
    records = models.BigIntegerField()
    charged_gpu_seconds = models.BigIntegerField()
    slurmdbd_gpu_seconds = models.BigIntegerField()
    residual_gpu_seconds = models.BigIntegerField()
    imported_gpu_seconds = models.BigIntegerField()
    overrun_gpu_seconds = models.BigIntegerField()
    oldest_at = models.DateTimeField(null=True)  # the oldest submission of anybody's that slurmdbd still shows
    purged_before = models.DateTimeField(null=True)  # what it may have purged, by its own configuration
    purged_records = models.BigIntegerField(default=0)  # charged, older than that, and no longer there
    purged_gpu_seconds = models.BigIntegerField(default=0)
    kept_records = models.BigIntegerField(default=0)  # charges that stand by an operator's word (`Kept`)
    kept_gpu_seconds = models.BigIntegerField(default=0)
    missing_records = models.BigIntegerField(default=0)  # charged, and gone or unfinished in slurmdbd: differences
    keepable_gpu_seconds = models.BigIntegerField(default=0)  # charged, and not (any more) in slurmdbd: differences
    others_records = models.BigIntegerField(default=0)  # of accounts that are not the portal's: ignored
    others_gpu_seconds = models.BigIntegerField(default=0)
    counter_gaps = models.JSONField(default=dict)
    differences = models.JSONField(default=list)  # the first of them; `differences_count` says how many
    differences_count = models.BigIntegerField()
    unsettled_ids = models.JSONField(default=list)  # job numbers that the next reading asks for
    duration_s = models.FloatField()

    class Meta:
        ordering = ["-taken_at", "-id"]
        indexes = [models.Index(fields=["cluster", "-taken_at"], name="reconciliation_last")]


class CycleStep(models.Model):
    """How the last run of each step of a cluster's cycle went: what /metrics and the clusters' page show."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    step = models.CharField(max_length=24)
    ran_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True)
    duration_s = models.FloatField()
    failures = models.PositiveIntegerField(default=0)  # in a row
    error = models.CharField(max_length=400, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "step"], name="cycle_step_once")]
