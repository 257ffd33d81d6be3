"""What came out in a range of days, and how far the counting is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, Max, Min, QuerySet

from monitoring.attribution.models import Exporter
from monitoring.days import Days
from monitoring.rollups.models import FIGURES, NationDay, OrganisationDay, Window
from monitoring.throughput.bounds import (
    Cycles,
    achievable_flop,
    allocated_flop,
    eflop_hours,
    upper_any_flop,
    upper_flop,
)
from monitoring.throughput.devices import Device, device_of
from portal.clock import now
from portal.people.models import Organisation
from quotas.estimator.peaks import PEAKS_VERSION
from scheduler.clusters.slices import slices_read

SECOND_US = 1_000_000
CAUSES = ("without_event", "two_owners", "unread", "gap")


@dataclass(frozen=True, slots=True)
class Bounds:
    """EFLOP-hours. None: the peak table lacks a figure that it takes."""

    lower: float
    upper: float | None
    allocated_peak: float | None
    achievable: float | None = None


@dataclass(frozen=True, slots=True)
class Throughput:
    """Figures of one GPU type, summed: over days, or of one day. `sums` has the columns of `Figures`."""

    gpu_type: str
    sums: Mapping[str, int | float]
    device: Device

    @property
    def allocated_gpu_seconds(self) -> int:
        return int(self.sums["allocated_gpu_seconds"])

    @property
    def observed_gpu_seconds(self) -> int:
        """Whole seconds, rounded down: observed + unobserved = allocated, in whole seconds too."""
        return int(self.sums["observed_us"]) // SECOND_US

    @property
    def unobserved_gpu_seconds(self) -> int:
        return self.allocated_gpu_seconds - self.observed_gpu_seconds

    @property
    def coverage(self) -> float | None:
        """Observed of allocated; None where nothing was allocated."""
        allocated = self.allocated_gpu_seconds
        return int(self.sums["observed_us"]) / (allocated * SECOND_US) if allocated else None

    @property
    def unobserved_by_cause(self) -> dict[str, int]:
        """Whole GPU-seconds by cause, which add up to the unobserved ones."""
        found = {cause: int(self.sums[f"{cause}_us"]) // SECOND_US for cause in CAUSES}
        most = max(CAUSES, key=lambda cause: found[cause])
        found[most] += self.unobserved_gpu_seconds - sum(found.values())
        return found

    @property
    def outside_gpu_seconds(self) -> float:
        return self.sums["outside_us"] / SECOND_US

    @property
    def cycles(self) -> Cycles:
        return Cycles(
            dense=self.sums["cycles"],
            sparse=self.sums["sparse_cycles"],
            unread_dense_s=self.sums["no_cycles_us"] / SECOND_US,
            unread_sparse_s=self.sums["sparse_no_cycles_us"] / SECOND_US,
        )

    @property
    def fp8(self) -> Bounds:
        seconds = self.sums["device_us"] / SECOND_US
        return Bounds(
            eflop_hours(self.sums["fp8_flop"]) or 0.0,
            eflop_hours(upper_flop(self.device, self.cycles)),
            eflop_hours(allocated_flop(self.device, seconds)),
            eflop_hours(achievable_flop(self.device, seconds)),
        )

    @property
    def any_tensor(self) -> Bounds:
        seconds = self.sums["device_us"] / SECOND_US
        return Bounds(
            eflop_hours(self.sums["tensor_flop"]) or 0.0,
            eflop_hours(upper_any_flop(self.device, self.cycles)),
            eflop_hours(allocated_flop(self.device, seconds, self.device.fastest)),
        )

    @property
    def sources(self) -> list[str]:
        """What the figures rest on: `reported` by jobs, cycles from counters or gauges, and for some time nothing."""
        asked = {
            "reported": self.sums["tensor_flop"] > 0,
            "gpm_counter": self.sums["counter_us"] > 0,
            "gpm_gauge": self.sums["gauge_us"] > 0,
            "none": self.sums["no_cycles_us"] + self.sums["sparse_no_cycles_us"] > 0,
        }
        return [name for name, there in asked.items() if there]

    @property
    def is_emulated(self) -> bool:
        return self.sums["emulated_gpu_seconds"] > 0

    @property
    def refused_eflop_hours(self) -> float:
        """Declared by runs that declared more than their GPUs can do: counted nowhere."""
        return eflop_hours(self.sums["refused_flop"]) or 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """By GPU type, and by day and GPU type: hours of different types do not add up, FLOPs do."""

    days: Days
    by_type: Mapping[str, Throughput]
    by_day: Mapping[date, Mapping[str, Throughput]]
    peaks_version: str
    counted_until: datetime | None


def throughput_of(organisation: Organisation, days: Days) -> Report:
    """Of ended runs, split over the days they ran. Two queries, whatever the range."""
    return _report(OrganisationDay.objects.filter(organisation=organisation), days)


def throughput_of_nation(days: Days) -> Report:
    """Of all organisations together."""
    return _report(NationDay.objects.all(), days)


def _report(rows: QuerySet[OrganisationDay] | QuerySet[NationDay], days: Days) -> Report:
    parents = slices_read()
    devices: dict[str, Device] = {}
    by_day: dict[date, dict[str, Throughput]] = {}
    totals: dict[str, dict[str, int | float]] = {}
    listed = rows.filter(day__gte=days.first, day__lte=days.last).order_by("day", "gpu_type")
    for row in listed.values("day", "gpu_type", *FIGURES):
        day, gpu_type = row.pop("day"), row.pop("gpu_type")
        if gpu_type not in devices:
            devices[gpu_type] = device_of(gpu_type, parents.parent(gpu_type))
            totals[gpu_type] = dict.fromkeys(FIGURES, 0)
        total = totals[gpu_type]
        for name, amount in row.items():
            total[name] += amount
        by_day.setdefault(day, {})[gpu_type] = Throughput(gpu_type, row, devices[gpu_type])
    by_type = {gpu_type: Throughput(gpu_type, totals[gpu_type], devices[gpu_type]) for gpu_type in sorted(totals)}
    return Report(days, by_type, by_day, PEAKS_VERSION, counted_until())


def counted_until() -> datetime | None:
    """Everything before is counted, as far as it is known; None: nothing ever was."""
    due = Window.objects.filter(due_at__isnull=False).aggregate(first=Min("starts_at"))["first"]
    return due or Window.objects.aggregate(last=Max("starts_at"))["last"]


# --- for operators --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RollupState:
    windows_due: int  # overdue: not those that wait for their time
    failures: int
    error: str
    counted_at: datetime | None
    lag_s: float | None
    exporters: int
    silent: list[Exporter]  # that did not answer the last time


def rollup_state() -> RollupState:
    moment = now()
    due = Window.objects.filter(due_at__lte=moment).aggregate(count=Count("pk"), first=Min("due_at"))
    failing = Window.objects.filter(failures__gt=0).order_by("-failures").first()
    return RollupState(
        due["count"],
        failing.failures if failing else 0,
        failing.error if failing else "",
        Window.objects.aggregate(last=Max("counted_at"))["last"],
        (moment - due["first"]).total_seconds() if due["first"] else 0.0 if Window.objects.exists() else None,
        Exporter.objects.count(),
        list(Exporter.objects.filter(failures__gt=0).select_related("cluster")),
    )
