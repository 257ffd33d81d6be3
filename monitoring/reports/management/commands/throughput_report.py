"""manage.py throughput_report --organisation SLUG --from DATE --to DATE: what the GPU-time delivered in FP8."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from monitoring.reports.arguments import arguments_add, organisation_and_days
from monitoring.rollups.selectors import Bounds, Throughput, throughput_of
from portal.commands import JsonCommand


class Command(JsonCommand):
    help = (
        "By GPU type. allocated = observed + unobserved GPU-seconds of runs that have ended, on the days they ran (the "
        "centre's time zone, both ends included). EFLOP-hours are bounds: lower is what jobs declared, upper what the "
        "tensor cores of their GPUs can have done; null where the peak table lacks a figure."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        arguments_add(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        organisation, days = organisation_and_days(options)
        report = throughput_of(organisation, days)

        def each(figure: Callable[[Throughput], object]) -> dict[str, object]:
            return {gpu_type: figure(found) for gpu_type, found in report.by_type.items()}

        self.emit(
            {
                "organisation": organisation.slug,
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
                "sources": each(lambda found: found.sources),
                "peak_table_version": report.peaks_version,
                "emulated": each(lambda found: found.is_emulated),
                "counted_until": report.counted_until,
            }
        )


def _bounds(bounds: Bounds) -> dict[str, float | None]:
    return {"lower": bounds.lower, "upper": bounds.upper, "allocated_peak": bounds.allocated_peak}
