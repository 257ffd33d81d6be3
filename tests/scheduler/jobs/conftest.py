"""A cluster as its worker last read it, and a project with 100 H100-hours on it."""

from collections.abc import Callable, Iterator

import pytest
import time_machine

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster, Partition
from scheduler.jobs import tasks
from scheduler.jobs.models import Job, UnixAccountSeen
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question
from tests.quotas import makers
from tests.scheduler.jobs.fake import FakeSlurm
from tests.scheduler.jobs.makers import submit

HOUR = makers.HOUR


@pytest.fixture
def cluster(db: None) -> Cluster:
    local = Cluster.objects.create(name="local", title="Trung tâm 1", overshoot_s=60, created_at=now())
    for name, nodes in (("h100", 3), ("h200", 1)):
        Partition.objects.create(
            cluster=local,
            name=name,
            gpu_type=name,
            nodes=nodes,
            gpus_per_node=8,
            max_time_s=48 * HOUR,
            default_time_s=HOUR,
            read_at=now(),
        )
    return local


@pytest.fixture
def allocation(project: Project, cluster: Cluster) -> Allocation:
    return makers.award(project, makers.programme())


@pytest.fixture
def submitter(researcher: User, cluster: Cluster) -> User:
    """Minh, whose unix account the cluster's worker has seen."""
    UnixAccountSeen.objects.create(cluster=cluster, name="minh", exists=True, checked_at=now())
    return researcher


@pytest.fixture
def slurm() -> FakeSlurm:
    return FakeSlurm()


@pytest.fixture
def job(submitter: User, allocation: Allocation) -> Job:
    return submit(submitter, allocation)


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    """Time stands still until a test moves it."""
    with time_machine.travel(now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def asked(monkeypatch) -> list[Question]:
    """What the web left on the cluster's queue."""
    found: list[Question] = []

    def send(*, args, queue, **_how) -> None:
        assert queue == "cluster.local"
        found.append(Question(Job.objects.get(pk=args[0]).pk, args[1], args[2], tuple(args[3])))

    monkeypatch.setattr(tasks.output_answer, "apply_async", send)
    return found


@pytest.fixture
def work(asked, slurm) -> Callable[[], int]:
    """The cluster's worker answers what was asked; returns how much that was."""

    def answer() -> int:
        count = len(asked)
        while asked:
            asking.answer(asked.pop(0), adapter=slurm)
        return count

    return answer
