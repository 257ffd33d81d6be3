"""A project whose researchers have unix accounts, allocations on the real test Slurm, and a clean-up after them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from portal.people.models import Project, ProjectMembership, User
from portal.people.services import project_member_remove
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from scheduler.accounts.models import OwnedName
from scheduler.accounts.services import Applied, accounts_cycle, plan_make
from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.protocol import AssociationInfo
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name
from tests import factories
from tests.quotas import makers
from tests.scheduler.live import RUBBISH, LiveSlurm, own_name


@dataclass
class Site:
    """The portal's side (database) and Slurm's side of one cluster."""

    cluster: Cluster
    slurm: LiveSlurm
    adapter: CommandsAdapter
    project: Project
    programme: Programme
    people: list[User] = field(default_factory=list)

    @property
    def account(self) -> str:
        return account_name(self.cluster, self.project.slug)

    def award(self, gpu_type: str = "h100", *, gpu_seconds: int = 6_000, **more: object) -> Allocation:
        return makers.award(self.project, self.programme, gpu_type=gpu_type, gpu_seconds=gpu_seconds, **more)  # type: ignore[arg-type]

    def join(self, unix_account: str) -> User:
        person = factories.person(f"{unix_account}@example.vn", unix_account, unix_account=unix_account)
        factories.project_member(person, self.project)
        self.people.append(person)
        return person

    def leave(self, person: User) -> None:
        project_member_remove(project=self.project, user=person, role=ProjectMembership.Role.RESEARCHER)

    def changes(self) -> list[dict[str, object]]:
        return [change.as_json() for change in plan_make(cluster=self.cluster, adapter=self.adapter).changes]

    def cycle(self) -> Applied:
        applied = accounts_cycle(self.cluster.name, adapter=self.adapter)
        assert applied is not None
        return applied

    def members(self) -> dict[tuple[str, str], AssociationInfo]:
        return {(row.user, row.partition): row for row in self.adapter.associations() if row.account == self.account}

    def minutes(self, allocation: Allocation) -> int | None:
        """As slurmctld holds it."""
        usage = self.adapter.qos_usage([allocation.qos]).get(allocation.qos)
        return usage.limit_minutes if usage else None

    def place(self, allocation: Allocation) -> list[str]:
        return [f"--account={self.account}", f"--partition={allocation.gpu_type}", f"--qos={allocation.qos}"]

    def running(self, allocation: Allocation) -> int:
        """GPUs that its jobs have now."""
        jobs = [job for job in self.adapter.queue() if job.qos == allocation.qos and job.state == "RUNNING"]
        return sum(sum(job.gpus.values()) for job in jobs)


def leave_behind(cluster: Cluster, slurm: LiveSlurm) -> None:
    """Jobs end now, names go at the end of the session."""
    names = list(OwnedName.objects.filter(cluster=cluster).values_list("kind", "name"))
    RUBBISH.accounts |= {name for kind, name in names if kind == "account"}
    RUBBISH.qos |= {name for kind, name in names if kind == "qos"}
    for kind, name in names:
        if kind == "account":
            slurm.root.ask("scancel", "--full", f"--account={name}")


@pytest.fixture(scope="session", autouse=True)
def rubbish() -> Iterator[None]:
    yield
    RUBBISH.clear()


@pytest.fixture
def site(project: Project) -> Iterator[Site]:
    slurm = LiveSlurm()
    cluster = Cluster.objects.create(
        name="local",
        title="Cụm thử",
        account_prefix=own_name("")[:10],
        removals_cap=20,
        created_at=datetime(2026, 6, 1, tzinfo=UTC),
    )
    programme = makers.programme(h100_hours=1_000, h200_hours=1_000)
    yield Site(cluster, slurm, slurm.adapter(), project, programme)
    leave_behind(cluster, slurm)
