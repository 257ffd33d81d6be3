import pytest

from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from tests.quotas import makers


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme()


@pytest.fixture
def allocation(project: Project, programme: Programme) -> Allocation:
    """100 H100-hours for Sao Mai AI's project."""
    return makers.award(project, programme)
