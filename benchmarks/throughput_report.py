"""p95 of the throughput report of a year: one organisation among 1,000, and the nation, with 365 days × 4 GPU types.

    .venv/bin/python -m benchmarks.throughput_report [--rounds 100]

Prints one line a figure: name value unit aim. Works in a database of its own, which it drops at the end.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
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

ORGANISATIONS, YEAR = 1_000, Days(date(2026, 1, 1), date(2026, 12, 31))
TYPES = ("h100", "h200", "b200", "h100_1g.10gb")


def fill() -> None:
    Organisation.objects.bulk_create(
        [
            Organisation(
                name=f"O {number}", slug=f"o-{number}", kind="startup", tax_code=f"{number:010d}", created_at=now()
            )
            for number in range(ORGANISATIONS)
        ]
    )
    columns, amounts = (
        ", ".join(FIGURES),
        ", ".join(f"organisation.id %% 97 + {number}" for number, _ in enumerate(FIGURES)),
    )
    sums = ", ".join(f"sum({name})" for name in FIGURES)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rollups_organisationday (organisation_id, gpu_type, day, {columns}) "  # noqa: S608
            f"SELECT organisation.id, gpu_type, day::date, {amounts} FROM people_organisation organisation, "
            "unnest(%s::text[]) gpu_type, generate_series(%s::date, %s::date, '1 day') day",
            [list(TYPES), YEAR.first, YEAR.last],
        )
        cursor.execute(
            f"INSERT INTO rollups_nationday (gpu_type, day, {columns}) SELECT gpu_type, day, {sums} "  # noqa: S608
            "FROM rollups_organisationday GROUP BY gpu_type, day"
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


def run(rounds: int) -> None:
    fill()
    assert OrganisationDay.objects.count() == ORGANISATIONS * len(TYPES) * len(YEAR)
    organisations = iter(list(Organisation.objects.order_by("?")) * (rounds // ORGANISATIONS + 1))
    one = p95_ms(lambda: throughput_of(next(organisations), YEAR), rounds)
    print(f"throughput_report_year_of_one_among_{ORGANISATIONS}_p95 {one:.0f} ms <=50")
    print(
        f"throughput_report_year_of_nation_p95 {p95_ms(lambda: throughput_of_nation(YEAR), rounds):.0f} ms <=500",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with own_database("throughput"):
        run(options.rounds)


if __name__ == "__main__":
    main()
