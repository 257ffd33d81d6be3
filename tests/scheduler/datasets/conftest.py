import pytest
from pytest_django.fixtures import Settings

from portal.clock import now
from scheduler.clusters.models import Cluster
from tests.scheduler.datasets.host import Host


@pytest.fixture(autouse=True)
def _plain_prefix(request: pytest.FixtureRequest, settings: Settings) -> None:
    """Groups are named as on a centre of its own; on the real host, with the stack's own prefix."""
    if "slurm" not in request.keywords:
        settings.DATA_GROUP_PREFIX = "sd-"


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="local", title="Cụm Hà Nội", removals_cap=2, created_at=now())


@pytest.fixture
def host() -> Host:
    return Host()
