"""Seconds of an organisation's usage report: a month and a year, with 105,000 records of one organisation.

    .venv/bin/python -m benchmarks.usage_report [--rounds 5]

The records are the import benchmark's, brought in by `manage.py import_sacct` as the history of a single account.
Prints one line a figure: name value unit aim. Works in a database of its own, which it drops at the end.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection, connections  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.import_sacct import drawn, dump_write, imported  # noqa: E402
from monitoring.days import Days  # noqa: E402
from monitoring.reports.selectors import usage_report  # noqa: E402
from portal.clock import now  # noqa: E402
from portal.people.models import Organisation  # noqa: E402
from scheduler.clusters.models import Cluster  # noqa: E402

COPIES = 7  # of 15,000 jobs in about 20 days
RANGES = {
    "month": Days(date(2020, 2, 1), date(2020, 2, 29)),
    "year": Days(date(2020, 1, 1), date(2020, 12, 31)),
}


def run(rounds: int, database: str) -> None:
    Cluster.objects.create(name="bench", title="Bench", created_at=now())
    connections.close_all()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "history.txt"
        written = dump_write(list(drawn()), path, COPIES, accounts=1)
        imported(path, "bench", database)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    organisation = Organisation.objects.get()
    for name, days in RANGES.items():
        seconds = []
        for _round in range(rounds):
            began = time.monotonic()
            usage = usage_report(organisation, days)
            seconds.append(time.monotonic() - began)
        assert usage.total.amounts["v100"] > 0
        print(f"usage_report_{name}_of_{written['records']}_records {statistics.median(seconds):.2f} s <1", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with own_database("report") as name:
        run(options.rounds, name)


if __name__ == "__main__":
    main()
