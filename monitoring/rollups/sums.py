"""Sums by day, each made anew from the level below: runs → persons → organisations → the nation.

Written by one process at a time: the tasks hold LockSpace.ROLLUP, and so does whoever calls it by hand.
"""

from collections.abc import Collection
from datetime import date

from django.db import connection

from monitoring.rollups.models import FIGURES, NationDay, OrganisationDay, PersonDay, RunDay

Pair = tuple[int, date]  # organisation and day
PURPOSE = ["sector", "product_group"]


def days_sum(pairs: Collection[Pair]) -> None:
    """Replaces the sums of these organisations and days, and the nation's of these days."""
    if not pairs:
        return
    organisations, days = zip(*sorted(pairs), strict=True)
    whose = [list(organisations), list(days)]
    of = "(organisation_id, day) IN (SELECT * FROM unnest(%s::bigint[], %s::date[]))"
    _replace(
        PersonDay._meta.db_table,
        RunDay._meta.db_table,
        ["organisation_id", "project_id", '"user"', "gpu_type", *PURPOSE, "day"],
        of,
        whose,
        only=" AND is_final",
    )
    organisation = ["organisation_id", "gpu_type", *PURPOSE, "day"]
    _replace(OrganisationDay._meta.db_table, PersonDay._meta.db_table, organisation, of, whose)
    _replace(
        NationDay._meta.db_table,
        OrganisationDay._meta.db_table,
        ["gpu_type", *PURPOSE, "day"],
        "day = ANY(%s::date[])",
        [sorted(set(days))],
    )


def _replace(
    to: str, source: str, keys: list[str], where: str, parameters: list[list[int] | list[date]], only: str = ""
) -> None:
    """The names are this module's own, none comes from outside."""
    names = ", ".join(keys)
    figures = ", ".join(FIGURES)
    sums = ", ".join(f"sum({name})" for name in FIGURES)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {to} WHERE {where}", parameters)  # noqa: S608
        cursor.execute(
            f"INSERT INTO {to} ({names}, {figures}) SELECT {names}, {sums} FROM {source} "  # noqa: S608
            f"WHERE {where}{only} GROUP BY {names}",
            parameters,
        )
