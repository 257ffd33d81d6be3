"""Jobs as the portal knows them, and their runs.

A `Job` is one submission (by the portal, or found on the cluster). A `Run` is one execution of one array task: it
carries the hold and, in the end, the charge. A requeue closes a run and opens the next; slurmdbd has a record for each.
"""

import uuid

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import cpu_qos
from scheduler.datasets.models import DataSet


# What never changes, or is said by another field (the allocation names project and cluster), is not copied each time.
@track(
    exclude=[
        *("script", "denied_since", "looked_at", "form_key", "created_at", "origin", "preset", "name"),
        *("array", "restarts_most", "checkpoint_lead_s", "keeps_unsatisfied", "filled", "chosen"),
        *("cpus_per_node", "reservation"),
        *("cluster", "project", "person", "unix_account", "cancel_requested_by"),
    ]
)
class Job(models.Model):
    class Origin(models.TextChoices):
        PORTAL = "portal", _("Portal")
        OUTSIDE = "outside", _("Submitted outside the portal")

    class State(models.TextChoices):
        QUEUED = "queued", _("On its way to Slurm")  # outbox row written, sbatch not yet tried
        SUBMITTING = "submitting", _("Being submitted")  # an attempt began; whether it arrived is not known yet
        UNKNOWN = "unknown", _("Unknown")  # it may or may not exist in Slurm: being looked for
        REFUSED = "refused", _("Refused by Slurm")  # a named refusal; nothing exists, hold void
        PENDING = "pending", _("Pending")
        RUNNING = "running", _("Running")
        SUSPENDED = "suspended", _("Suspended")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")
        TIMEOUT = "timeout", _("Timed out")
        CANCELLED = "cancelled", _("Cancelled")
        NODE_FAIL = "node_fail", _("Node failed")

    OPEN_STATES = (State.QUEUED, State.SUBMITTING, State.UNKNOWN, State.PENDING, State.RUNNING, State.SUSPENDED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)  # also the job's --comment in Slurm
    origin = models.CharField(max_length=8, choices=Origin.choices, default=Origin.PORTAL)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="jobs")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="jobs")
    allocation = models.ForeignKey(Allocation, on_delete=models.PROTECT, related_name="jobs")
    person = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="jobs")
    unix_account = models.CharField(max_length=32)  # as it was at submission
    name = models.CharField(_("name"), max_length=64)
    preset = models.CharField(max_length=40, blank=True)
    # What the form was filled in with (presets.filling), to begin another job with it.
    filled = models.JSONField(default=dict, blank=True)
    chosen = models.JSONField(default=dict, blank=True)  # where the portal chose the allocation: choosing.Choice.facts
    script = models.TextField(blank=True)
    partition = models.CharField(max_length=64)
    gpu_type = models.CharField(_("GPU type"), max_length=32)
    nodes = models.PositiveIntegerField(_("nodes"), default=1)
    gpus_per_node = models.PositiveIntegerField(_("GPUs per node"), default=1)
    time_limit_s = models.PositiveIntegerField(_("time limit"))
    cpus_per_node = models.PositiveIntegerField(default=0)  # of a job without GPUs; else what the partition gives
    reservation = models.CharField(max_length=120, blank=True)  # Slurm's name
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    reason = models.TextField(blank=True)  # Slurm's reason, or ours, as last read
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    # Slurm's --array ("0-99%8"), "" for a plain job. Shape and time limit are those of one task; each task has its run.
    array = models.CharField(_("array"), max_length=200, blank=True)
    # A chain: the script saves its state when it is told, this long before its limit, and requeues its job.
    restarts_most = models.PositiveSmallIntegerField(default=0)  # 0: not a chain
    checkpoint_lead_s = models.PositiveIntegerField(default=0)
    keeps_unsatisfied = models.BooleanField(default=False)  # stays when what it depends on can never come true
    form_key = models.UUIDField(null=True)  # made with the form: the same form sent twice is one job
    attempts = models.PositiveIntegerField(default=0)  # how often sbatch was begun for it
    attempted_at = models.DateTimeField(null=True)  # the first attempt; a look-up matches only jobs submitted after it
    last_attempt_at = models.DateTimeField(null=True)
    # Looking for a job that may or may not exist: since when every look-up, the last one included, was answered "no".
    denied_since = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    slurm_job_id = models.BigIntegerField(null=True)
    slurm_submit_at = models.DateTimeField(null=True)  # with the id, the identity bound at first sight
    bound_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "slurm_job_id", "slurm_submit_at"],
                condition=models.Q(slurm_job_id__isnull=False),
                name="job_bound_once",
            ),
            models.UniqueConstraint(fields=["person", "form_key"], name="job_form_once"),
            models.CheckConstraint(
                condition=models.Q(slurm_job_id__isnull=True, slurm_submit_at__isnull=True)
                | models.Q(slurm_job_id__isnull=False, slurm_submit_at__isnull=False),
                name="job_bound_whole",
            ),
            # Nothing is tried again while an identity is bound, and nothing runs without one.
            models.CheckConstraint(
                condition=~models.Q(state__in=["queued", "submitting", "refused"])
                | models.Q(slurm_job_id__isnull=True),
                name="job_unsubmitted_is_unbound",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["pending", "running", "suspended"])
                | models.Q(slurm_job_id__isnull=False),
                name="job_in_slurm_is_bound",
            ),
            models.CheckConstraint(
                condition=models.Q(nodes__gt=0, gpus_per_node__gte=0, time_limit_s__gt=0), name="job_shape_positive"
            ),
        ]
        indexes = [
            # The lists, in their order and by their filters; with the id, so that counting and skipping read no row.
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["project", "-created_at", "-id"], name="job_newest_of_project"),
            models.Index(fields=["project", "state", "-created_at", "-id"], name="job_newest_of_state"),
            # Own jobs are those in the projects that one may see: without the project each row would be read for it.
            models.Index(fields=["person", "-created_at", "-id"], include=["project"], name="job_newest_of_person"),
            models.Index(fields=["cluster", "state"]),
            models.Index(fields=["cluster", "slurm_job_id"]),
        ]
        ordering = ["-created_at", "-id"]
        triggers = [
            # Exactly once, in the database too: an attempt begins from "queued" only, and only a job that is known not
            # to exist in Slurm goes back there.
            pgtrigger.Protect(
                name="attempt_only_from_queued",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__state="submitting") & ~pgtrigger.Q(old__state__in=["queued", "submitting"]),
            ),
            pgtrigger.Protect(
                name="queued_only_from_uncertain",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__state="queued")
                & ~pgtrigger.Q(old__state__in=["queued", "submitting", "unknown"]),
            ),
        ]

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def is_cpu(self) -> bool:
        """Prepares data on the CPU partition: no hold, nothing charged, a QOS of its own."""
        return self.origin == self.Origin.PORTAL and not self.gpus_per_node

    @property
    def qos(self) -> str:
        return cpu_qos(self.cluster) if self.is_cpu else self.allocation.qos

    @property
    def preset_name(self) -> str:
        return self.preset.partition("@")[0]

    @property
    def preset_edition(self) -> int:
        """Which of the centre's own versions it was made from; 0: the product's, or none."""
        return int(self.filled.get("edition", 0))

    @property
    def is_array(self) -> bool:
        return bool(self.array)

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN_STATES


class Run(models.Model):
    """One execution of one array task of a job. Key after binding: (cluster, job_id_raw, submit_at), slurmdbd's own."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="runs")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    job_id_raw = models.BigIntegerField(null=True)
    array_task = models.PositiveIntegerField(null=True)
    submit_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=12, choices=Job.State.choices, default=Job.State.PENDING)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    gpus = models.PositiveIntegerField(default=0)
    hold = models.UUIDField(null=True, unique=True)  # the ledger transfer; NULL: no hold (outside and not started)
    held_gpu_seconds = models.BigIntegerField(default=0)
    hold_resolved = models.BooleanField(default=False)
    charged_gpu_seconds = models.BigIntegerField(null=True)
    overrun_gpu_seconds = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "job_id_raw", "submit_at"],
                condition=models.Q(job_id_raw__isnull=False, submit_at__isnull=False),
                name="run_record_once",
            )
        ]
        indexes = [
            models.Index(fields=["cluster", "job_id_raw"]),
            models.Index(fields=["job", "id"]),
            # Tasks that have not been seen in Slurm yet.
            models.Index(
                fields=["job", "array_task"], condition=models.Q(job_id_raw=None, ended_at=None), name="run_unseen_task"
            ),
        ]
        ordering = ["id"]


class Dependency(models.Model):
    """A job that starts only after another one of its project."""

    class Kind(models.TextChoices):
        AFTER_OK = "afterok", _("after it succeeded")
        AFTER_ANY = "afterany", _("after it ended, in whatever way")
        AFTER_NOT_OK = "afternotok", _("after it failed")

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="dependencies")
    on = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="dependents")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.AFTER_OK)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "on"], name="dependency_once")]
        ordering = ["id"]


class DataSetUse(models.Model):
    """A data set that a job was given, as it was then: the catalogue may say another version or path since."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="data_set_uses")
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="uses")
    version = models.CharField(max_length=40)
    path = models.CharField(max_length=500)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "data_set"], name="data_set_use_once")]
        ordering = ["id"]


@track()
class Order(models.Model):
    """What a person asked to be done with a job in Slurm. The cluster's worker does it and writes down what came of it.

    One at a time for a job, and for each task of an array. `run` is the run it was meant for: what is asked of one run
    is not done to the next.
    """

    class Verb(models.TextChoices):
        HOLD = "hold", _("Put on hold")
        RELEASE = "release", _("Release")
        REQUEUE = "requeue", _("Back into the queue")
        EXTEND = "extend", _("More time")
        FREE = "free", _("Release by the centre")  # of what Slurm, or an administrator, holds
        CANCEL_TASK = "cancel_task", _("Cancel a task")

    class State(models.TextChoices):
        ASKED = "asked", _("On its way")
        DONE = "done", _("Done")
        REFUSED = "refused", _("Not possible")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="orders")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, related_name="+")
    task = models.PositiveIntegerField(null=True)
    verb = models.CharField(max_length=12, choices=Verb.choices)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    time_limit_before_s = models.PositiveIntegerField(null=True)
    time_limit_s = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.ASKED)
    reason = models.TextField(blank=True)  # why not: "portal:CODE …", or Slurm's words
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job"], condition=models.Q(state="asked", task__isnull=True), name="order_one_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["job", "task"], condition=models.Q(state="asked"), name="order_one_at_a_time_for_a_task"
            ),
        ]
        indexes = [models.Index(fields=["job", "-asked_at"])]
        ordering = ["-asked_at", "-id"]


class SlurmHold(models.Model):
    """A job that Slurm by itself, or an administrator, put on hold, as the worker last saw it: an operator releases or
    cancels it. A job that waits for GPU-hours is none of these (settlement's HeldJob)."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="slurm_hold")
    reason = models.CharField(max_length=200)  # squeue's
    since = models.DateTimeField()  # first seen so

    class Meta:
        ordering = ["since", "pk"]


class SubmissionKey(models.Model):
    """What a program called its request, so that the same one sent again is the same job. Written with the job."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # of what was sent
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "key"], name="submission_key_once")]


class UnixAccountSeen(models.Model):
    """Whether a person's unix account exists on a cluster, as its worker last saw (getent). The web asks only this."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=32)
    exists = models.BooleanField()
    checked_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="unix_account_seen_once")]


class ProjectPreset(models.Model):
    """A filled-in form that a project keeps to begin jobs with. A row is a version; one is withdrawn, never changed."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="job_presets")
    title = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    preset = models.CharField(max_length=40, blank=True)  # the one that it was made from
    filled = models.JSONField(default=dict, blank=True)  # as Job.filled
    script = models.TextField()
    nodes = models.PositiveIntegerField()
    gpus_per_node = models.PositiveIntegerField()
    time_limit_s = models.PositiveIntegerField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "title", "version"], name="project_preset_version_once"),
            models.CheckConstraint(
                condition=~models.Q(title="") & models.Q(version__gt=0), name="project_preset_named"
            ),
        ]
        ordering = ["title", "-version"]

    def __str__(self) -> str:
        return self.title
