"""What a submission costs the web: by the HTML form, and by the API with a token, with an Idempotency-Key and without.

    .venv/bin/python -m benchmarks.api [--jobs 200] [--rounds 3]

Processor time of the portal's process and of its PostgreSQL backend, through the whole web stack by Django's test
client, without the network; rounds of all three alternate. Prints one line a figure: name value unit aim. Works in a
database of its own, which it drops at the end; no worker sees the jobs.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.pages import browser_of, processor_s  # noqa: E402
from portal.api.services import token_make  # noqa: E402
from portal.clock import now  # noqa: E402
from quotas.allocations.models import Allocation  # noqa: E402
from scheduler.clusters.models import Cluster, Partition  # noqa: E402
from tests import factories  # noqa: E402
from tests.quotas import makers  # noqa: E402

Submit = Callable[[], None]
SCRIPT = "#!/bin/bash\ntrue\n"


def ways() -> dict[str, Submit]:
    house = factories.organisation("Organisation", "organisation")
    project = factories.project("Project", "project", of=house)
    person = factories.person("minh@bench.example", "Minh", unix_account="minh")
    factories.project_member(person, project)
    cluster = Cluster.objects.create(name="local", title="Bench", created_at=now())
    Partition.objects.create(
        cluster=cluster, name="h100", gpu_type="h100", nodes=3, gpus_per_node=8, max_time_s=172_800, read_at=now()
    )
    allocation = makers.award(project, makers.programme(h100_hours=1_000_000), gpu_seconds=3_600_000_000)
    _row, secret = token_make(person=person, name="bench", scopes=["submit"], life=timedelta(days=1))
    program = Client(headers={"host": "localhost", "Authorization": f"Bearer {secret}"})
    return {
        "form": _by_form(browser_of(person), allocation),
        "api": _by_api(program, allocation, with_key=False),
        "api_with_key": _by_api(program, allocation, with_key=True),
    }


def _fields(allocation: Allocation) -> dict[str, object]:
    return {
        "allocation": allocation.pk,
        "name": "bench",
        "gpus_per_node": 1,
        "nodes": 1,
        "time_limit": "1m",
        "script": SCRIPT,
    }


def _by_form(browser: Client, allocation: Allocation) -> Submit:
    def submit() -> None:
        answer = browser.post("/jobs/new/", _fields(allocation) | {"key": uuid4()})
        assert answer.status_code == 302

    return submit


def _by_api(program: Client, allocation: Allocation, *, with_key: bool) -> Submit:
    def submit() -> None:
        headers = {"Idempotency-Key": str(uuid4())} if with_key else {}
        answer = program.post("/api/v1/jobs/", _fields(allocation), content_type="application/json", headers=headers)
        assert answer.status_code == 201, answer.content

    return submit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200, help="a round and way")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings.API_REQUESTS_A_MINUTE = 10**9
    with own_database("api"):
        measured: dict[str, list[float]] = {}
        known = ways()
        for name, submit in known.items():
            submit()
            with CaptureQueriesContext(connection) as asked:
                submit()
            print(f"submission_by_{name}_queries {len(asked)} queries -", flush=True)
        for _round in range(options.rounds):
            for name, submit in known.items():
                used = -processor_s()
                for _job in range(options.jobs):
                    submit()
                used += processor_s()
                measured.setdefault(name, []).append(used / options.jobs * 1_000)
        for name, rounds in measured.items():
            print(f"submission_by_{name}_processor {statistics.median(rounds):.1f} ms -", flush=True)


if __name__ == "__main__":
    main()
