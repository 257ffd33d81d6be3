import pytest
from django.core.cache import caches
from django.urls import reverse

from tests.portal.api.programs import Program, program_of


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    caches["redis"].clear()


@pytest.fixture
def program(submitter) -> Program:
    return program_of(submitter)


@pytest.fixture
def at(job):
    return lambda name, *more: reverse(f"jobs_v1:{name}", args=[job.pk, *more])
