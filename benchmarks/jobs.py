"""The list of jobs of a project with 200,000: queries and time of its pages, for a member and for an operator.

    .venv/bin/python -m benchmarks.jobs [--jobs 200000] [--rounds 60] [--explain]

The project's jobs lie among as many of others, all with a script; thirty are open. Prints one line a figure: name value
unit aim; with --explain also what PostgreSQL does for each page. Works in a database of its own, which it drops at the
end.
"""

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.pages import browser_of, page  # noqa: E402
from portal.clock import now  # noqa: E402
from portal.people.models import CentreRole, User  # noqa: E402
from quotas.allocations.models import Allocation  # noqa: E402
from scheduler.clusters.models import Cluster  # noqa: E402
from scheduler.jobs.models import Job  # noqa: E402
from scheduler.jobs.views import ROWS_A_PAGE  # noqa: E402
from tests import factories  # noqa: E402
from tests.quotas import makers  # noqa: E402

P95_MS_MOST = 100
OTHERS, OPEN = 10, 30
# What the copies of a job have of their own; in SQL, because a row takes Python ten times as long.
_OWN = {
    "id": "gen_random_uuid()",
    "name": "'run ' || number",
    "state": "CASE WHEN number % 50 = 0 THEN 'failed' WHEN number % 999 = 0 THEN 'node_fail' ELSE 'completed' END",
    "slurm_job_id": "slurm_job_id + number",
    "person_id": "CASE WHEN number % 20 = 0 THEN person_id END",  # the others' are of nobody whom the portal knows
    "created_at": "created_at - number * interval '5 minutes'",
}


def copies(job: Job, count: int) -> None:
    columns = [field.column for field in Job._meta.concrete_fields]
    values = ", ".join(_OWN.get(column, f'"{column}"') for column in columns)
    quoted = ", ".join(f'"{column}"' for column in columns)
    statement = f"INSERT INTO jobs_job ({quoted}) SELECT {values} FROM jobs_job, generate_series(1, {count}) AS number"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_job DISABLE TRIGGER USER")  # the audit's: a row of its own for each
        cursor.execute(f"{statement} WHERE id = '{job.pk}'")
        cursor.execute("ALTER TABLE jobs_job ENABLE TRIGGER USER")


def job(allocation: Allocation, person: User, cluster: Cluster, number: int, state: str = "completed") -> Job:
    at = now() - timedelta(minutes=number % 1_000)
    return Job.objects.create(
        id=uuid4(),
        cluster=cluster,
        project=allocation.project,
        allocation=allocation,
        person=person,
        unix_account="minh",
        name="run",
        script="#!/bin/bash\n" + "python train.py --epochs 3\n" * 60,
        partition="h100",
        gpu_type="h100",
        time_limit_s=3_600,
        state=state,
        slurm_job_id=number,
        slurm_submit_at=at,
        created_at=at,
        updated_at=at,
    )


def fill(jobs: int) -> tuple[User, User, str]:
    """A member of the project, an operator, and the project's short name."""
    operator = factories.person("operator@bench.example", "Operator", centre_roles=(CentreRole.Role.OPERATOR,))
    member = factories.person("minh@bench.example", "Minh")
    cluster = Cluster.objects.create(name="local", title="Bench", created_at=now())
    programme = makers.programme(h100_hours=1_000_000)
    house = factories.organisation("Organisation", "organisation")
    big = None
    for place in range(OTHERS + 1):
        project = factories.project(f"Project {place}", f"project-{place}", of=house)
        factories.project_member(member, project) if place < 2 else None
        allocation = makers.award(project, programme, gpu_seconds=3_600)
        big = big or allocation
        first = job(allocation, member, cluster, (place + 1) * 10_000_000)
        copies(first, jobs if allocation is big else jobs // OTHERS)
    for number in range(OPEN):
        job(big, member, cluster, 1_000 + number, state=("pending", "running")[number % 2])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE jobs_job")  # as autovacuum leaves it
    return member, operator, big.project.slug


def explained(client: Client, address: str) -> None:
    with CaptureQueriesContext(connection) as asked:
        client.get(address)
    for query in asked.captured_queries:
        if "jobs_job" in query["sql"] and query["sql"].startswith("SELECT"):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + query["sql"].replace("%", "%%"))
                print("\n".join(["#", f"# {address}", *(f"#   {row[0]}" for row in cursor.fetchall())]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--explain", action="store_true")
    options = parser.parse_args()
    with own_database("jobs"):
        member, operator, slug = fill(options.jobs)
        listed = reverse("jobs:list")
        last = options.jobs // ROWS_A_PAGE
        pages = {
            "": f"{listed}?project={slug}",
            "_last_page": f"{listed}?project={slug}&page={last}",
            "_failed": f"{listed}?project={slug}&state=node_fail",
            "_open": f"{listed}?project={slug}&state=open",
            "_mine": f"{listed}?mine=1",
            "_of_all_projects": listed,
        }
        for person, client in (("member", browser_of(member)), ("operator", browser_of(operator))):
            for name, address in pages.items():
                if options.explain:
                    explained(client, address)
                page(f"jobs_of_{options.jobs}{name}_{person}", client, address, options.rounds, P95_MS_MOST)


if __name__ == "__main__":
    main()
