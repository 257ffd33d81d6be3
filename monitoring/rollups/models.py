"""Figures of runs and of days, and the windows of time that they were counted in.

Prometheus holds the samples, for weeks; nothing here copies them. What is stored is what a report needs later: a row
for a run and a window, partitioned by month and dropped after WINDOWS_KEPT_DAYS, so that a part of a run can be counted
anew without the rest; a row for a run and a day, and sums of these, for good.
"""

from django.db import models

from portal.people.models import Organisation, Project
from scheduler.clusters.models import Cluster


class Window(models.Model):
    """A quarter of an hour: the longest time that divides every zone's midnight. Counted again whenever it is due."""

    starts_at = models.DateTimeField(unique=True)
    due_at = models.DateTimeField(null=True)  # NULL: counted to its end, and nothing changed since
    counted_at = models.DateTimeField(null=True)
    duration_s = models.FloatField(default=0)
    gpus = models.PositiveIntegerField(default=0)  # with an owner in it
    silent_gpus = models.PositiveIntegerField(default=0)  # of those, without a single sample
    failures = models.PositiveIntegerField(default=0)  # in a row
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="window_due")]
        ordering = ["-starts_at"]


class WindowRun(models.Model):
    """What a window has of one run, all its GPUs together; what the figures mean: monitoring/rollups/stretches.py."""

    starts_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    job_id_raw = models.BigIntegerField()
    submit_at = models.DateTimeField()
    emulated = models.BooleanField(default=False)
    observed_us = models.BigIntegerField(default=0)
    outside_us = models.BigIntegerField(default=0)
    two_owners_us = models.BigIntegerField(default=0)
    unread_us = models.BigIntegerField(default=0)
    counter_us = models.BigIntegerField(default=0)
    gauge_us = models.BigIntegerField(default=0)
    busy_us = models.BigIntegerField(default=0)
    tensor_busy_us = models.BigIntegerField(default=0)
    throttled_us = models.BigIntegerField(default=0)
    tensor_clock_cycles = models.FloatField(default=0)
    energy_j = models.FloatField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "job_id_raw"], name="window_run_job"),
            models.Index(fields=["starts_at"], name="window_run_window"),
        ]


class MemoryPeak(models.Model):
    """The most memory that a GPU of an ended run held, and what one has. Kept: Prometheus forgets within weeks."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    job_id_raw = models.BigIntegerField()
    submit_at = models.DateTimeField()
    used_bytes = models.BigIntegerField()
    total_bytes = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "job_id_raw", "submit_at"], name="memory_peak_once")]


class Figures(models.Model):
    """Sums over devices. `_us` are microseconds; the first block is of charged GPU-time, where a slice counts its share
    of a GPU, the second of devices, where it counts whole.

    allocated = observed + without_event + two_owners + unread + gap, exactly.
    observed = idle + no_tensor + tensor_unread + throttled_lost + failed_lost + useful, exactly: useful is what the
    others leave. What each of them is: monitoring/throughput/losses.py.
    """

    allocated_gpu_seconds = models.BigIntegerField(default=0)  # charged for what ran, refunds not taken off
    failed_gpu_seconds = models.BigIntegerField(default=0)  # of it, of runs that failed or whose node did
    emulated_gpu_seconds = models.BigIntegerField(default=0)  # of it, of runs with an emulated sample
    observed_us = models.BigIntegerField(default=0)
    without_event_us = models.BigIntegerField(default=0)  # no node said which GPU
    two_owners_us = models.BigIntegerField(default=0)  # two runs between two scrapes
    unread_us = models.BigIntegerField(default=0)  # scraped, but the exporter could not read the GPU
    gap_us = models.BigIntegerField(default=0)  # no scrape
    idle_us = models.BigIntegerField(default=0)
    no_tensor_us = models.BigIntegerField(default=0)  # busy, and no tensor core was
    tensor_unread_us = models.BigIntegerField(default=0)  # busy, and nobody could read its tensor cores
    throttled_lost_us = models.BigIntegerField(default=0)  # to a clock that was held down
    failed_lost_us = models.BigIntegerField(default=0)  # would be useful, had the run not failed

    device_us = models.BigIntegerField(default=0)
    outside_us = models.BigIntegerField(default=0)  # observed before the run's start or after its end: not charged
    counter_us = models.BigIntegerField(default=0)  # tensor cycles read from the driver's counters
    gauge_us = models.BigIntegerField(default=0)  # the same from its gauges
    busy_us = models.BigIntegerField(default=0)
    tensor_busy_us = models.BigIntegerField(default=0)
    throttled_us = models.BigIntegerField(default=0)
    cycles = models.FloatField(default=0)  # clock cycles with a tensor core active
    sparse_cycles = models.FloatField(default=0)  # the same of runs that declared 2:4 sparsity, not in `cycles`
    no_cycles_us = models.BigIntegerField(default=0)  # device time for which no tensor cycles were read
    sparse_no_cycles_us = models.BigIntegerField(default=0)
    energy_j = models.FloatField(default=0)
    fp8_flop = models.FloatField(default=0)  # declared by jobs
    tensor_flop = models.FloatField(default=0)  # declared, of every precision of tensor cores
    refused_flop = models.FloatField(default=0)  # declared by runs that declared more than is possible: in neither

    class Meta:
        abstract = True


FIGURES = tuple(field.name for field in Figures._meta.local_fields)


class OfPurpose(models.Model):
    """What the GPU-time was awarded for, in the applications' words; empty where no application says."""

    sector = models.CharField(max_length=32, default="", db_default="")
    product_group = models.CharField(max_length=32, default="", db_default="")

    class Meta:
        abstract = True


class RunDay(Figures, OfPurpose):
    """One run on one day of the centre."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    job_id_raw = models.BigIntegerField()
    submit_at = models.DateTimeField()
    day = models.DateField()
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+", db_index=False)
    user = models.CharField(max_length=64)  # unix account
    gpu_type = models.CharField(max_length=32)  # Slurm's: a slice's own
    is_final = models.BooleanField()  # slurmdbd has its end; sums have only these
    counted_at = models.DateTimeField()
    peaks_version = models.CharField(max_length=16)  # that said what is possible

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "job_id_raw", "submit_at", "day"], name="run_day_once")
        ]
        indexes = [
            models.Index(fields=["organisation", "day"], name="run_day_organisation"),
            models.Index(  # looked for every minute, among all there ever were
                fields=["counted_at"], condition=models.Q(refused_flop__gt=0), name="run_day_refused"
            ),
        ]


class PersonDay(Figures, OfPurpose):
    """Ended runs of one person in one project, GPU type, purpose and day."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    user = models.CharField(max_length=64)
    gpu_type = models.CharField(max_length=32)
    day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "day", "project", "user", "gpu_type", "sector", "product_group"],
                name="person_day_once",
            )
        ]


class OrganisationDay(Figures, OfPurpose):
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+", db_index=False)
    gpu_type = models.CharField(max_length=32)
    day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "day", "gpu_type", "sector", "product_group"], name="organisation_day_once"
            )
        ]


class NationDay(Figures, OfPurpose):
    """All organisations: so that a year of the nation is some thousand rows."""

    gpu_type = models.CharField(max_length=32)
    day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "gpu_type", "sector", "product_group"], name="nation_day_once")
        ]
