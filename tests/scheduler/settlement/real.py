"""A centre in small on the test stack's real Slurm: two projects, two GPU types, and the worker's cycle run by hand."""

import grp
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from django.conf import settings
from django.db.models import QuerySet

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.accounts.services import plan_make
from scheduler.clusters.adapters import ClusterAdapter, ClusterError, adapter_for
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name
from scheduler.jobs.models import Run
from scheduler.settlement.cycle import cycle_run
from scheduler.settlement.models import CycleStep
from tests import factories
from tests.quotas import makers

PREFIX = "ts-"  # the stack's own worker knows nothing of these accounts
STEPS = {"snapshot", "outbox", "jobs", "outside", "settle", "waiting", "accounts", "data_sets", "reconcile"}


@dataclass
class Centre:
    cluster: Cluster
    adapter: ClusterAdapter
    began_at: datetime
    projects: list[Project] = field(default_factory=list)
    people: list[User] = field(default_factory=list)
    allocations: dict[tuple[int, str], Allocation] = field(default_factory=dict)  # (project's place, GPU type)

    @property
    def accounts(self) -> set[str]:
        return {account_name(self.cluster, project.slug) for project in self.projects}

    def cycle(self) -> None:
        """One cycle; fails where a step of it failed."""
        cycle_run(self.cluster, self.adapter)
        failed = CycleStep.objects.filter(cluster=self.cluster).exclude(error="")
        assert not failed, [(step.step, step.error) for step in failed]

    def cycle_until(self, reached: Callable[[], bool], *, within_s: float = 240, every_s: float = 1.0) -> None:
        deadline = time.monotonic() + within_s
        while True:
            self.cycle()
            if reached():
                return
            assert time.monotonic() < deadline, (
                [(line.job_id, line.state, line.reason) for line in self.queue()],
                [(run.job.name, run.job.state, run.job.reason, run.job_id_raw) for run in self.runs_open()],
            )
            time.sleep(every_s)

    def queue(self):
        return [line for line in self.adapter.queue() if line.account in self.accounts]

    def line(self, job_id: int):
        return next((line for line in self.queue() if line.job_id == job_id), None)

    def is_running(self, job_id: int) -> bool:
        line = self.line(job_id)
        return line is not None and line.state == "RUNNING"

    def is_settled(self) -> bool:
        """Nothing in Slurm's queue, nothing open in the portal."""
        return not self.queue() and not self.runs_open().exists()

    def runs_open(self) -> QuerySet[Run]:
        return Run.objects.filter(cluster=self.cluster, ended_at=None).select_related("job")

    def sbatch(self, *options: str, script: str, place: int = 0, gpu_type: str = "h100", as_root: bool = False) -> int:
        """Plain sbatch by the project's researcher; `as_root` for that researcher, past the fence of job_submit.lua."""
        person, allocation = self.people[place], self.allocations[place, gpu_type]
        vector = [
            "sbatch",
            "--parsable",
            "--output=/dev/null",
            f"--chdir={self.home(place)}",
            f"--account={account_name(self.cluster, self.projects[place].slug)}",
            f"--qos={allocation.qos}",
            f"--partition={gpu_type}",
            "--time=5",
            *options,
        ]
        name = person.unix_account or ""
        done = run(*vector, f"--uid={name}", stdin=script) if as_root else run(*vector, stdin=script, user=name)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split(";")[0])

    def home(self, place: int) -> str:
        return pwd.getpwnam(self.people[place].unix_account or "").pw_dir

    def sreport_gpu_seconds(self) -> int:
        """What Slurm's own report says of our accounts, after rolling up the hours of this test."""
        first = self.began_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        last = datetime.fromtimestamp((now().timestamp() // 3600 + 1) * 3600, tz=UTC)
        window = [moment.strftime("%Y-%m-%dT%H:%M:%S") for moment in (first, last)]
        rolled = run("sacctmgr", "-i", "rollup", *window)
        assert rolled.returncode == 0, rolled.stderr
        report = run(
            *("sreport", "-nP", "-t", "seconds", "--tres=gres/gpu", "cluster", "AccountUtilizationByUser"),
            *(f"start={window[0]}", f"end={window[1]}", "format=Account,Login,Used"),
        )
        assert report.returncode == 0, report.stderr
        rows = [row.split("|") for row in report.stdout.splitlines()]
        return sum(int(used) for account, login, used in rows if login and account in self.accounts)


def run(*vector: str, stdin: str = "", user: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "SLURM_CONF": settings.SLURM["local"]["slurm_conf"], "TZ": "UTC"}
    who = {"user": user, "group": user, "extra_groups": []} if user else {}
    return subprocess.run(
        vector, input=stdin, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=60, **who
    )


def researchers() -> list[str]:
    return sorted(grp.getgrnam(settings.SLURM["local"]["researchers_group"]).gr_mem)


@contextmanager
def real_centre(*, gpu_hours: int = 100) -> Iterator[Centre]:
    """Two projects of two organisations, each with one researcher, an h100 allocation and (the second) an h200 one."""
    cluster = Cluster.objects.create(name="local", title="Thử", account_prefix=PREFIX, overshoot_s=60, created_at=now())
    centre = Centre(cluster, adapter_for("local"), now())
    programme = makers.programme(h100_hours=10_000, h200_hours=10_000)
    unix_accounts = researchers()
    for place, gpu_types in enumerate([("h100",), ("h100", "h200")]):
        slug = f"t{uuid4().hex[:8]}"
        project = factories.project(f"Dự án {slug}", slug, of=factories.organisation(f"Tổ chức {slug}", f"o{slug}"))
        person = factories.person(f"{slug}@example.vn", f"Người {slug}", unix_account=unix_accounts[place + 2])
        factories.project_member(person, project)
        centre.projects.append(project)
        centre.people.append(person)
        for gpu_type in gpu_types:
            centre.allocations[place, gpu_type] = makers.award(
                project, programme, gpu_seconds=gpu_hours * makers.HOUR, gpu_type=gpu_type
            )
    try:
        centre.cycle_until(lambda: not plan_make(cluster=cluster, adapter=centre.adapter).changes, within_s=60)
        yield centre
    finally:
        _remove(centre)


def _remove(centre: Centre) -> None:
    for line in centre.queue():
        centre.adapter.job_cancel_as_admin(job_id=str(line.job_id), reason="end of the test")
    deadline = time.monotonic() + 30
    while centre.queue() and time.monotonic() < deadline:
        time.sleep(0.5)
    for row in centre.adapter.associations():
        if row.account in centre.accounts:
            with suppress(ClusterError):
                centre.adapter.association_remove(account=row.account, user=row.user, partition=row.partition)
    for project in centre.projects:
        for slug in (project.slug, project.organisation.slug):
            with suppress(ClusterError):
                centre.adapter.account_remove(name=account_name(centre.cluster, slug))
