"""p95 of the throughput report of a year: one organisation among 1,000, and the nation, with 365 days × 4 GPU types.

    .venv/bin/python -m benchmarks.throughput_report [--rounds 100] [--organisations 1000]

Prints one line a figure: name value unit aim. Works in a database of its own, which it drops at the end.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib import import_module
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from monitoring.days import Days  # noqa: E402
from monitoring.rollups.models import FIGURES, OrganisationDay  # noqa: E402
from monitoring.rollups.selectors import Report, throughput_of, throughput_of_nation  # noqa: E402
from portal.clock import now  # noqa: E402
from portal.people.models import Organisation  # noqa: E402
from scheduler.clusters.models import GpuSlice  # noqa: E402

YEAR = Days(date(2026, 1, 1), date(2026, 12, 31))
TYPES = ("h100", "h200", "b200", "h100_1g.10gb")
SECTORS = ["health", "smart_cities", "environment", "finance", "education", "other"]
GROUPS = ["language_model", "assistant", "vertical", "analytical", "other"]


def fill(organisations_count: int) -> None:
    GpuSlice.objects.create(gpu_type="h100_1g.10gb", parent="h100", parts=1, whole=7, created_at=now())
    Organisation.objects.bulk_create(
        [
            Organisation(
                name=f"O {number}", slug=f"o-{number}", kind="startup", tax_code=f"{number:010d}", created_at=now()
            )
            for number in range(organisations_count)
        ]
    )
    columns, amounts = (
        ", ".join(FIGURES),
        ", ".join(f"organisation.id %% 97 + {number}" for number, _ in enumerate(FIGURES)),
    )
    sums = ", ".join(f"sum({name})" for name in FIGURES)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO rollups_organisationday "  # noqa: S608
            f"(organisation_id, gpu_type, day, sector, product_group, {columns}) "
            f"SELECT organisation.id, gpu_type, day::date, (%s::text[])[1 + organisation.id %% 6], "
            f"(%s::text[])[1 + organisation.id %% 5], {amounts} FROM people_organisation organisation, "
            "unnest(%s::text[]) gpu_type, generate_series(%s::date, %s::date, '1 day') day",
            [SECTORS, GROUPS, list(TYPES), YEAR.first, YEAR.last],
        )
        cursor.execute(
            f"INSERT INTO rollups_nationday (gpu_type, day, sector, product_group, {columns}) "  # noqa: S608
            f"SELECT gpu_type, day, sector, product_group, {sums} "
            "FROM rollups_organisationday GROUP BY gpu_type, day, sector, product_group"
        )
        cursor.execute("ANALYZE")


def p95_ms(report: Callable[[], Report], rounds: int) -> float:
    seconds = []
    for _round in range(rounds):
        began = time.monotonic()
        found = report()
        assert all(one.fp8.upper for one in found.by_type.values())
        seconds.append(time.monotonic() - began)
        assert (len(found.by_type), len(found.by_day)) == (len(TYPES), len(YEAR))
    return statistics.quantiles(seconds, n=20)[-1] * 1_000


def run(rounds: int, organisations_count: int) -> None:
    fill(organisations_count)
    assert OrganisationDay.objects.count() == organisations_count * len(TYPES) * len(YEAR)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as the server does by itself, by the time that a year is full
    import_module("portal.wsgi")  # collects garbage as the web server does, whose page this is
    organisations = iter(list(Organisation.objects.order_by("?")) * (rounds // organisations_count + 1))
    one = p95_ms(lambda: throughput_of(next(organisations), YEAR), rounds)
    print(f"throughput_report_year_of_one_among_{organisations_count}_p95 {one:.0f} ms <=50")
    print(
        f"throughput_report_year_of_nation_p95 {p95_ms(lambda: throughput_of_nation(YEAR), rounds):.0f} ms <=500",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--organisations", type=int, default=1_000)
    options = parser.parse_args()
    with own_database("throughput"):
        run(options.rounds, options.organisations)


if __name__ == "__main__":
    main()
