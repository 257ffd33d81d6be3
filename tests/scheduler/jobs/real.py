"""A project with an allocation that really is in the test stack's Slurm, made and removed through the adapter."""

import grp
import pwd
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters import ClusterAdapter, ClusterError, adapter_for
from scheduler.clusters.models import Cluster
from scheduler.clusters.services import snapshot_take
from scheduler.jobs.models import Job
from scheduler.jobs.worker import submission
from scheduler.jobs.worker.cycle import jobs_cycle
from tests import factories
from tests.quotas import makers
from tests.scheduler.jobs.makers import submit

HOUR = makers.HOUR
PREFIX = "tj-"  # the stack's own worker knows nothing of these accounts


@dataclass
class Real:
    cluster: Cluster
    adapter: ClusterAdapter
    project: Project
    person: User
    allocation: Allocation

    @property
    def home(self) -> Path:
        return Path(pwd.getpwnam(self.person.unix_account or "").pw_dir)

    def submit(self, **changes: Any) -> Job:
        """Takes a job and makes its first attempt, as the worker would."""
        wanted = {"gpus_per_node": 1, "time_limit_s": 300}
        job = submit(self.person, self.allocation, **(wanted | changes))
        deadline = time.monotonic() + 60
        while self.attempt(job).state == Job.State.QUEUED:  # slurmctld is being started again by another test
            assert time.monotonic() < deadline, job.reason
            time.sleep(1)
        return job

    def attempt(self, job: Job) -> Job:
        submission.attempt(job_id=job.pk, number=job.attempts + 1, adapter=self.adapter)
        job.refresh_from_db()
        return job

    def cycle(self, job: Job) -> Job:
        look = snapshot_take(cluster=self.cluster, adapter=self.adapter)
        jobs_cycle(self.cluster.name, look.queue, look.status, adapter=self.adapter)
        job.refresh_from_db()
        return job

    def cycle_until(
        self, job: Job, reached: Callable[[Job], bool], *, timeout_s: float = 60, every_s: float = 1
    ) -> Job:
        deadline = time.monotonic() + timeout_s
        while not reached(self.cycle(job)):
            assert time.monotonic() < deadline, f"still {job.state} ({job.reason})"
            time.sleep(every_s)
        return job

    def ended(self, job: Job, *, timeout_s: float = 60) -> str:
        """Slurm's final state of the job, from slurmdbd."""
        deadline = time.monotonic() + timeout_s
        while True:
            records = list(self.adapter.records(job_ids=[job.slurm_job_id or 0]))
            own = [record for record in records if record.comment == str(job.pk) and record.is_final]
            if own:
                return own[-1].state
            assert time.monotonic() < deadline, records
            time.sleep(0.5)

    def output(self, job: Job) -> str:
        return (self.home / "saola/jobs" / str(job.pk) / f"slurm-{job.slurm_job_id}.out").read_text()

    def jobs_in_slurm(self, job: Job) -> set[int]:
        """Every job with this comment that Slurm ever had, by queue and accounting."""
        in_queue = {line.job_id for line in self.adapter.queue() if line.comment == str(job.pk)}
        since = job.created_at.replace(second=0, microsecond=0)
        booked = {record.job_id_raw for record in self.adapter.records(since=since) if record.comment == str(job.pk)}
        return in_queue | booked


def researchers() -> list[str]:
    return sorted(grp.getgrnam(settings.SLURM["local"]["researchers_group"]).gr_mem)


@dataclass(frozen=True)
class Place:
    """An account with one QOS and one researcher in the real Slurm; tests take turns in it."""

    slug: str
    qos: str
    researcher: str
    gpu_hours: int

    @property
    def account(self) -> str:
        return f"{PREFIX}{self.slug}"


@contextmanager
def place_in_slurm(*, gpu_hours: int = 10, researcher: int = 0) -> Iterator[Place]:
    adapter = adapter_for("local")
    slug = f"t{uuid4().hex[:10]}"
    place = Place(slug, f"{slug}-h100", researchers()[researcher], gpu_hours)
    adapter.account_create(name=place.account, parent="root", organisation="test", description="test")
    adapter.qos_create(name=place.qos, description="test")
    open_to_jobs(adapter, place)
    adapter.association_create(
        account=place.account, user=place.researcher, partition="h100", qos=[place.qos], default_qos=place.qos
    )
    try:
        yield place
    finally:
        clear(adapter, place)
        with suppress(ClusterError):  # slurmdbd refuses while any test's job runs; the names are never used again
            adapter.association_remove(account=place.account, user=place.researcher, partition="h100")
            adapter.account_remove(name=place.account)


def open_to_jobs(adapter: ClusterAdapter, place: Place) -> None:
    minutes = place.gpu_hours * 60
    adapter.qos_modify(
        name=place.qos,
        grp_tres_mins={"gres/gpu": minutes, "gres/gpu:h100": minutes},
        min_tres_per_job={"gres/gpu": 1},
        grp_jobs=-1,
        grp_submit_jobs=-1,
    )


def clear(adapter: ClusterAdapter, place: Place) -> None:
    """Cancels what a test left."""
    deadline = time.monotonic() + 30
    while left := [line for line in adapter.queue() if line.account == place.account]:
        for line in left:
            adapter.job_cancel_as_admin(job_id=str(line.job_id), reason="end of the test")
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def real_project(place: Place) -> Real:
    """The portal's rows for a place in Slurm."""
    adapter = adapter_for("local")
    cluster = Cluster.objects.create(
        name="local", title="Test", account_prefix=PREFIX, overshoot_s=60, created_at=now()
    )
    snapshot_take(cluster=cluster, adapter=adapter)
    project = factories.project("Real", place.slug, of=factories.organisation("Real", f"o{place.slug}"))
    person = factories.person("real@example.vn", "Real", unix_account=place.researcher)
    factories.project_member(person, project)
    allocation = makers.award(project, makers.programme(), gpu_seconds=place.gpu_hours * HOUR)
    Allocation.objects.filter(pk=allocation.pk).update(qos=place.qos)
    allocation.refresh_from_db()
    return Real(cluster, adapter, project, person, allocation)
