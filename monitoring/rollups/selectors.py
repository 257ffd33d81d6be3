"""What came out in a range of days, and how far the counting is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from django.db import models
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.db.models.functions import Cast

from monitoring.attribution.models import Exporter
from monitoring.days import Days
from monitoring.rollups.models import FIGURES, Figures, NationDay, OrganisationDay, PersonDay, Window
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
from portal.people.models import Organisation, Project
from quotas.estimator.peaks import PEAKS_VERSION
from scheduler.clusters.slices import slices_read

SECOND_US = 1_000_000
JOULES_PER_KWH = 3_600_000
CAUSES = ("without_event", "two_owners", "unread", "gap")
LOST = ("idle", "no_tensor", "tensor_unread", "throttled_lost", "failed_lost")  # of observed time, in this order


@dataclass(frozen=True, slots=True)
class Bounds:
    """EFLOP-hours. None: the peak table lacks a figure that it takes."""

    lower: float
    upper: float | None
    allocated_peak: float | None
    achievable: float | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """FLOPs of several GPU types, which add up where hours do not. `unknown` are types whose upper bound or peak the
    table does not have: they are in none of the figures."""

    fp8: Bounds
    unknown: tuple[str, ...]
    is_emulated: bool


@dataclass(frozen=True, slots=True)
class Throughput:
    """Figures of one GPU type, summed: over days, or of one day. `sums` has the columns of `Figures`."""

    gpu_type: str
    sums: Mapping[str, int | float]
    device: Device

    @classmethod
    def added(cls, found: Sequence["Throughput"]) -> "Throughput":
        """Of one GPU type, at least one."""
        sums = {name: sum(one.sums[name] for one in found) for name in FIGURES}
        return cls(found[0].gpu_type, sums, found[0].device)

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
    def steps_us(self) -> dict[str, int]:
        """Where the allocated time went, in microseconds that add up to it: unobserved, the losses in their order, and
        what they leave."""
        allocated, observed = self.allocated_gpu_seconds * SECOND_US, int(self.sums["observed_us"])
        lost = {name: int(self.sums[f"{name}_us"]) for name in LOST}
        return {"unobserved": allocated - observed, **lost, "useful": observed - sum(lost.values())}

    @property
    def steps_gpu_seconds(self) -> dict[str, int]:
        """The same in whole GPU-seconds, which add up too: what rounding down leaves is the largest observed step's."""
        found = {name: amount // SECOND_US for name, amount in self.steps_us.items()}
        found["unobserved"] = self.unobserved_gpu_seconds
        most = max((*LOST, "useful"), key=lambda name: found[name])
        found[most] += self.allocated_gpu_seconds - sum(found.values())
        return found

    @property
    def wasted_gpu_seconds(self) -> float:
        """Observed, and known to be lost: what nobody could read is nobody's waste."""
        return sum(self.sums[f"{name}_us"] for name in LOST if name != "tensor_unread") / SECOND_US

    @property
    def useful_share(self) -> float | None:
        """Of what was observed; None where nothing was."""
        observed = int(self.sums["observed_us"])
        return self.steps_us["useful"] / observed if observed else None

    @property
    def energy_kwh(self) -> float:
        """Of the GPUs alone, in the observed time."""
        return self.sums["energy_j"] / JOULES_PER_KWH

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


def together(found: Iterable[Throughput]) -> Together:
    listed = [(one, one.fp8) for one in found]
    known = [fp8 for _one, fp8 in listed if fp8.upper is not None and fp8.allocated_peak is not None]
    return Together(
        Bounds(
            sum(fp8.lower for fp8 in known),
            sum(fp8.upper or 0.0 for fp8 in known),
            sum(fp8.allocated_peak or 0.0 for fp8 in known),
        ),
        tuple(sorted({one.gpu_type for one, fp8 in listed if fp8.upper is None or fp8.allocated_peak is None})),
        any(one.is_emulated for one, _fp8 in listed),
    )


def throughput_of(organisation: Organisation, days: Days) -> Report:
    """Of ended runs, split over the days they ran. The same few queries, whatever the range."""
    rows = _in(OrganisationDay.objects.filter(organisation=organisation), days)
    return _report(days, rows.values_list("day", "gpu_type", *FIGURES))


def throughput_of_project(project: Project, days: Days) -> Report:
    # An index has the organisation's days; the project's own has all of its years.
    rows = PersonDay.objects.filter(organisation=project.organisation_id, project=project)
    return _report(days, _summed(_in(rows, days), "day", "gpu_type"))


def throughput_of_nation(days: Days) -> Report:
    """Of all organisations together."""
    return _report(days, _summed(_in(NationDay.objects.all(), days), "day", "gpu_type"))


def throughput_by_purpose(days: Days, name: str) -> dict[str, dict[str, Throughput]]:
    """The nation's by `name`, "sector" or "product_group", and GPU type."""
    found: dict[str, dict[str, Throughput]] = {}
    for (purpose, gpu_type), one in throughputs_of(_in(NationDay.objects.all(), days), name, "gpu_type"):
        found.setdefault(purpose, {})[gpu_type] = one
    return found


def throughputs_of(rows: QuerySet[Any], *keys: str) -> Iterator[tuple[tuple[Any, ...], Throughput]]:
    """Rows of figures summed by keys, of which one is "gpu_type". One query, and that of the slices."""
    device, at = device_for(), keys.index("gpu_type")
    for row in _summed(rows.order_by(), *keys):
        values, amounts = row[: len(keys)], row[len(keys) :]
        yield values, _throughput(values[at], [amounts], device)


def organisations_at_work(days: Days) -> int:
    """How many organisations had GPU-time in these days."""
    return _in(OrganisationDay.objects.all(), days).aggregate(count=Count("organisation", distinct=True))["count"]


# --- sums -----------------------------------------------------------------------------------------------------------

Amounts = Sequence[int | float]  # of FIGURES, in their order
_FLOATS = {field.name for field in Figures._meta.local_fields if isinstance(field, models.FloatField)}


def _in(rows: QuerySet[Any], days: Days) -> QuerySet[Any]:
    return rows.filter(day__gte=days.first, day__lte=days.last).order_by()


def _summed(rows: QuerySet[Any], *keys: str) -> QuerySet[Any, tuple[Any, ...]]:
    """The keys, and the sums of FIGURES. PostgreSQL's sum of bigint is numeric, which takes its time to read."""
    sums: dict[str, Any] = {
        f"{name}_sum": Sum(name) if name in _FLOATS else Cast(Sum(name), models.BigIntegerField()) for name in FIGURES
    }
    return rows.values(*keys).annotate(**sums).order_by(*keys).values_list(*keys, *sums)


def _report(days: Days, rows: Iterable[tuple[Any, ...]]) -> Report:
    """`rows`: day, GPU type, figures; of one day and type perhaps several."""
    device = device_for()
    listed: dict[tuple[date, str], list[Amounts]] = {}
    of_type: dict[str, list[Amounts]] = {}
    for day, gpu_type, *amounts in rows:
        listed.setdefault((day, gpu_type), []).append(amounts)
        of_type.setdefault(gpu_type, []).append(amounts)
    by_day: dict[date, dict[str, Throughput]] = {}
    for day, gpu_type in sorted(listed):
        found = _throughput(gpu_type, listed[day, gpu_type], device)
        by_day.setdefault(day, {})[gpu_type] = found
    by_type = {gpu_type: _throughput(gpu_type, of_type[gpu_type], device) for gpu_type in sorted(of_type)}
    return Report(days, by_type, by_day, PEAKS_VERSION, counted_until())


def _throughput(gpu_type: str, rows: Sequence[Amounts], device: Callable[[str], Device]) -> Throughput:
    amounts = rows[0] if len(rows) == 1 else [sum(column) for column in zip(*rows, strict=True)]
    return Throughput(gpu_type, dict(zip(FIGURES, amounts, strict=True)), device(gpu_type))


def device_for() -> Callable[[str], Device]:
    parents = slices_read()
    return cache(lambda gpu_type: device_of(gpu_type, parents.parent(gpu_type)))


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
