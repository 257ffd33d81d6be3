"""manage.py throughput_report --organisation SLUG --from DATE --to DATE: what the GPU-time delivered in FP8, where it
went, and its energy. `--project SLUG` or `--nation` in place of the organisation."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from monitoring.reports import subjects
from monitoring.reports.arguments import days_add, days_of, organisation_of
from monitoring.reports.documents import factor_text
from monitoring.reports.subjects import Subject
from monitoring.rollups.selectors import Bounds, Throughput, together
from portal.commands import JsonCommand
from portal.people.models import Project


class Command(JsonCommand):
    help = (
        "By GPU type. allocated = observed + unobserved GPU-seconds of runs that have ended, on the days they ran (the "
        "centre's time zone, both ends included). EFLOP-hours are bounds: lower is what jobs declared, upper what the "
        "tensor cores of their GPUs can have done; null where the peak table lacks a figure. steps_gpu_seconds say "
        "where the allocated time went, and add up to it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--organisation", metavar="SLUG")
        whose.add_argument("--project", metavar="SLUG")
        whose.add_argument(
            "--nation", action="store_true", help="of all organisations, by sector and product group too"
        )
        days_add(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        days = days_of(options)
        subject = _subject(options)
        found = subject.telemetry(days)
        report, energy = found.report, found.energy

        def each(figure: Callable[[Throughput], object]) -> dict[str, object]:
            return {gpu_type: figure(found) for gpu_type, found in report.by_type.items()}

        self.emit(
            {
                _kind(options): subject.slug,
                "from": days.first,
                "to": days.last,
                "allocated_gpu_seconds": each(lambda found: found.allocated_gpu_seconds),
                "observed_gpu_seconds": each(lambda found: found.observed_gpu_seconds),
                "unobserved_gpu_seconds": each(lambda found: found.unobserved_gpu_seconds),
                "unobserved_by_cause": each(lambda found: found.unobserved_by_cause),
                "outside_gpu_seconds": each(lambda found: round(found.outside_gpu_seconds, 3)),
                "coverage": each(lambda found: found.coverage),
                "fp8_eflop_hours": each(lambda found: _bounds(found.fp8) | {"achievable": found.fp8.achievable}),
                "any_tensor_eflop_hours": each(lambda found: _bounds(found.any_tensor)),
                "refused_eflop_hours": each(lambda found: found.refused_eflop_hours),
                "steps_gpu_seconds": each(lambda found: found.steps_gpu_seconds),
                "gpu_kwh": each(lambda found: found.energy_kwh),
                "centre_kwh": {gpu_type: one.centre_kwh for gpu_type, one in energy.by_type.items()},
                "co2_kg": {gpu_type: one.co2_kg for gpu_type, one in energy.by_type.items()},
                "co2_of_gpus_alone": energy.total.is_co2_of_gpus_alone,
                "factors": [factor_text(one) for one in energy.factors],
                "sources": each(lambda found: found.sources),
                "peak_table_version": report.peaks_version,
                "emulated": each(lambda found: found.is_emulated),
                "counted_until": report.counted_until,
            }
            | (_nation(found) if subject.is_nation else {})
        )


def _bounds(bounds: Bounds) -> dict[str, float | None]:
    return {"lower": bounds.lower, "upper": bounds.upper, "allocated_peak": bounds.allocated_peak}


def _kind(options: dict[str, Any]) -> str:
    return "nation" if options["nation"] else "project" if options["project"] else "organisation"


def _subject(options: dict[str, Any]) -> Subject:
    """Raises CommandError."""
    if options["nation"]:
        return subjects.of_nation()
    if not options["project"]:
        return subjects.of_organisation(organisation_of(options))
    project = Project.objects.filter(slug=options["project"]).first()
    if project is None:
        raise CommandError(f"There is no project {options['project']!r}.")
    return subjects.of_project(project)


def _nation(found: subjects.Telemetry) -> dict[str, Any]:
    """FLOPs over all GPU types: in all, by sector and by product group."""

    def flops(by_type: subjects.ByType) -> dict[str, Any]:
        sums = together(by_type.values())
        return _bounds(sums.fp8) | {"without": list(sums.unknown)}

    return {
        "all_types_fp8_eflop_hours": flops(found.report.by_type),
        "sector_fp8_eflop_hours": {name: flops(by_type) for name, by_type in found.sectors.items()},
        "product_group_fp8_eflop_hours": {name: flops(by_type) for name, by_type in found.product_groups.items()},
    }
