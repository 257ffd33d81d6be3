"""manage.py usage_report --organisation SLUG --from DATE --to DATE: an organisation's balance and usage."""

from argparse import ArgumentParser
from collections.abc import Hashable, Mapping
from datetime import date
from typing import Any

from django.core.management.base import CommandError

from monitoring.days import EARLIEST, LATEST, Days, date_read
from monitoring.reports.selectors import Line, usage_report
from portal.commands import JsonCommand
from portal.people.models import Organisation

FIGURES = ("granted", "overrun", "held", "consumed", "remaining", "expired")


class Command(JsonCommand):
    help = (
        "GPU-seconds by GPU type. granted + overrun = consumed + held + remaining + expired is the balance now; "
        "by_project, by_person and by_day are what ran in the days, both ends included, days of the centre's time zone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument("--from", required=True, metavar="DATE", dest="first", help="YYYY-MM-DD")
        parser.add_argument("--to", required=True, metavar="DATE", dest="last", help="YYYY-MM-DD, included")

    def handle(self, *args: Any, **options: Any) -> None:
        days = _days(options["first"], options["last"])
        organisation = Organisation.objects.filter(slug=options["organisation"]).first()
        if organisation is None:
            raise CommandError(f"There is no organisation {options['organisation']!r}.")
        usage = usage_report(organisation, days)
        result: dict[str, Any] = {"organisation": organisation.slug, "from": days.first, "to": days.last}
        for name in FIGURES:
            result[name] = {gpu_type: getattr(balance, name) for gpu_type, balance in usage.balances.items()}
        result["by_cluster"] = _amounts(usage.by_cluster)
        result["by_project"] = _amounts(usage.by_project)
        result["by_person"] = _amounts(usage.by_person)
        result["by_day"] = _amounts({day.isoformat(): line for day, line in usage.by_day.items()})
        result["imported"] = dict(usage.total.imported)  # the part of the days' usage that is imported history
        self.emit(result)


def _days(first: str, last: str) -> Days:
    ends = [_date(option, text) for option, text in (("--from", first), ("--to", last))]
    try:
        return Days(*ends)
    except ValueError as error:
        raise CommandError(f"--to {last} lies before --from {first}.") from error


def _date(option: str, text: str) -> date:
    try:
        return date_read(text)
    except ValueError as error:
        raise CommandError(f"{option}: {text!r} is no date from {EARLIEST} to {LATEST}, written YYYY-MM-DD.") from error


def _amounts(lines: Mapping[Hashable, Line] | Mapping[str, Line]) -> dict[Hashable, dict[str, int]]:
    return {key: dict(sorted(line.amounts.items())) for key, line in lines.items()}
