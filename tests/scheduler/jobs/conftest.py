"""A cluster as its worker last read it, and a project with 100 H100-hours on it."""

import pytest

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster, Partition
from scheduler.jobs.models import UnixAccountSeen
from tests.quotas import makers

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
