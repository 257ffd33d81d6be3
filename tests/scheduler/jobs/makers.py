"""Explicit makers for jobs, through the services."""

from typing import Any

from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.jobs.models import Job
from scheduler.jobs.services import job_submit
from tests.quotas.makers import HOUR

SCRIPT = "#!/bin/bash\nsrun hostname\n"


def submit(person: User, allocation: Allocation, **changes: Any) -> Job:
    """One node, two GPUs, one hour, unless said otherwise."""
    wanted: dict[str, Any] = {
        "project": allocation.project,
        "name": "train",
        "gpus_per_node": 2,
        "nodes": 1,
        "time_limit_s": HOUR,
        "script": SCRIPT,
    }
    return job_submit(person=person, allocation=allocation, **(wanted | changes))
