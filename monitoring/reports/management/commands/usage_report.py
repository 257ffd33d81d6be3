"""manage.py usage_report --organisation SLUG --from DATE --to DATE: an organisation's balance and usage."""

from argparse import ArgumentParser
from collections.abc import Hashable, Mapping
from typing import Any

from monitoring.reports.arguments import arguments_add, organisation_and_days
from monitoring.reports.selectors import Line, usage_report
from portal.commands import JsonCommand

FIGURES = ("granted", "overrun", "held", "consumed", "remaining", "expired")


class Command(JsonCommand):
    help = (
        "GPU-seconds by GPU type. granted + overrun = consumed + held + remaining + expired is the balance now; "
        "by_project, by_person and by_day are what ran in the days, both ends included, days of the centre's time zone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        arguments_add(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        organisation, days = organisation_and_days(options)
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


def _amounts(lines: Mapping[Hashable, Line] | Mapping[str, Line]) -> dict[Hashable, dict[str, int]]:
    return {key: dict(sorted(line.amounts.items())) for key, line in lines.items()}
