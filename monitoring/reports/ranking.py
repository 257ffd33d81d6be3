"""A project's own runs by what of their GPU-time was lost, for those who see its jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, FloatField, QuerySet, Sum
from django.db.models.functions import Cast, NullIf

from monitoring.days import Days
from monitoring.reports.waterfall import look_at
from monitoring.rollups.models import FIGURES, RunDay
from monitoring.rollups.selectors import LOST, Throughput, device_for
from portal.people.models import Project
from scheduler.jobs.models import Run

ORDERS = ("waste", "share")


@dataclass(frozen=True, slots=True)
class Ranked:
    found: Throughput
    submit_at: datetime
    user: str
    job_id_raw: int
    run: Run | None  # with its job; None where the portal knows the record only

    @property
    def useful_percent(self) -> float | None:
        share = self.found.useful_share
        return None if share is None else 100 * share

    @property
    def coverage_percent(self) -> float | None:
        return None if self.found.coverage is None else 100 * self.found.coverage

    @property
    def look_at(self) -> str:
        return look_at(self.found)


def runs_ranked(project: Project, days: Days, order: str) -> QuerySet[RunDay, dict[str, Any]]:
    """Ended runs with GPU-time in these days, each with its sums: by "waste", the GPU-hours lost, or by "share", the
    useful part of what was observed; what was not observed at all comes last."""
    rows = RunDay.objects.filter(
        organisation=project.organisation_id, project=project, day__gte=days.first, day__lte=days.last, is_final=True
    )
    sums = {f"{name}_sum": Sum(name) for name in FIGURES}
    grouped = rows.order_by().values("cluster_id", "job_id_raw", "submit_at", "gpu_type", "user").annotate(**sums)
    waste = sum((F(f"{name}_us_sum") for name in LOST[1:] if name != "tensor_unread"), F(f"{LOST[0]}_us_sum"))
    lost = sum((F(f"{name}_us_sum") for name in LOST[1:]), F(f"{LOST[0]}_us_sum"))
    share = Cast(F("observed_us_sum") - lost, FloatField()) / NullIf(Cast(F("observed_us_sum"), FloatField()), 0.0)
    grouped = grouped.annotate(waste=waste, share=share)
    first = F("share").asc(nulls_last=True) if order == "share" else F("waste").desc()
    return grouped.order_by(first, F("waste").desc(), "cluster_id", "job_id_raw", "submit_at")


def ranked(rows: Sequence[dict[str, Any]]) -> list[Ranked]:
    """A page of them, with the jobs they belong to. Two queries."""
    device = device_for()
    runs = Run.objects.filter(job_id_raw__in=[row["job_id_raw"] for row in rows]).select_related("job")
    by_key = {(run.cluster_id, run.job_id_raw, run.submit_at): run for run in runs.defer("job__script", "job__filled")}
    return [
        Ranked(
            Throughput(row["gpu_type"], {name: row[f"{name}_sum"] for name in FIGURES}, device(row["gpu_type"])),
            row["submit_at"],
            row["user"],
            row["job_id_raw"],
            by_key.get((row["cluster_id"], row["job_id_raw"], row["submit_at"])),
        )
        for row in rows
    ]
