import pytest

from portal.clock import now
from scheduler.clusters.models import Cluster
from tests.scheduler.datasets.host import Host


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="local", title="Cụm Hà Nội", removals_cap=2, created_at=now())


@pytest.fixture
def host() -> Host:
    return Host()
