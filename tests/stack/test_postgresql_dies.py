"""PostgreSQL is killed with -9 while a job is on its way: it comes back, and the job happens once."""

import pytest

from tests.stack.browsing import Visitor
from tests.stack.conftest import Stack
from tests.stack.test_processes_die import dies_while_a_job_is_on_its_way, every_record_is_charged_once

pytestmark = [pytest.mark.stack, pytest.mark.fault, pytest.mark.alone]


def test_postgresql_comes_back_and_every_record_is_charged_once(stack: Stack, long: Visitor) -> None:
    dies_while_a_job_is_on_its_way(long, "postgresql")
    every_record_is_charged_once(stack, long)
