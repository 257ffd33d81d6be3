"""What an organisation's GPU-time delivered in FP8, as a page and a spreadsheet show it.

FLOPs are told in PFLOP-hours, 3.6 × 10^18 FLOPs: an H100 at its data sheet's peak does two in an hour.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _

from monitoring.reports.chart import SECONDS_AN_HOUR, Chart, chart_of
from monitoring.reports.energy import EnergyReport
from monitoring.reports.selectors import Line
from monitoring.reports.waterfall import step_words
from monitoring.rollups.selectors import Bounds, Report, Throughput
from quotas.estimator.peaks import GPUS

PFLOP_HOURS = 1_000  # in an EFLOP-hour


@dataclass(frozen=True, slots=True)
class Range:
    """PFLOP-hours. None: not known."""

    lower: float
    upper: float | None
    allocated_peak: float | None
    achievable: float | None

    @classmethod
    def of(cls, bounds: Bounds) -> "Range":
        amounts = (bounds.upper, bounds.allocated_peak, bounds.achievable)
        upper, allocated_peak, achievable = (None if one is None else one * PFLOP_HOURS for one in amounts)
        return cls(bounds.lower * PFLOP_HOURS, upper, allocated_peak, achievable)

    def percent(self, amount: float | None) -> float | None:
        """Of what the allocated time is worth at the data sheet's peak."""
        return None if amount is None or not self.allocated_peak else 100 * amount / self.allocated_peak

    @property
    def lower_percent(self) -> float | None:
        return self.percent(self.lower)

    @property
    def upper_percent(self) -> float | None:
        return self.percent(self.upper)

    @property
    def achievable_percent(self) -> float | None:
        return self.percent(self.achievable)


@dataclass(frozen=True, slots=True)
class Row:
    """A GPU type, on one day or on all of them."""

    day: date | None
    found: Throughput
    fp8: Range
    any_tensor: Range

    @property
    def coverage_percent(self) -> float | None:
        return None if self.found.coverage is None else 100 * self.found.coverage


@dataclass(frozen=True, slots=True)
class Part:
    """One GPU type of the page."""

    gpu_type: str
    name: str
    total: Row
    causes: Sequence[tuple[str, int]]  # label, GPU-seconds
    sources: Sequence[str]
    chart: Chart | None  # none where the upper bound is not known


def parts_of(report: Report) -> list[Part]:
    return [
        Part(
            gpu_type,
            GPUS[gpu_type].name if gpu_type in GPUS else gpu_type.upper(),
            _row(None, found),
            _causes(found),
            [source_words()[source] for source in found.sources],
            _chart(gpu_type, report),
        )
        for gpu_type, found in report.by_type.items()
    ]


def rows_of(report: Report) -> list[Row]:
    """By day and GPU type, the newest first."""
    return [_row(day, found) for day in sorted(report.by_day, reverse=True) for found in report.by_day[day].values()]


def _row(day: date | None, found: Throughput) -> Row:
    return Row(day, found, Range.of(found.fp8), Range.of(found.any_tensor))


def _chart(gpu_type: str, report: Report) -> Chart | None:
    """The upper bound of each day, the declared part of it apart. A chart's amounts are hours times 3,600."""
    lines: dict[date, Line] = defaultdict(Line)
    for day, by_type in report.by_day.items():
        if gpu_type not in by_type:
            continue
        fp8 = Range.of(by_type[gpu_type].fp8)
        if fp8.upper is None:
            return None
        upper, lower = (round(amount * SECONDS_AN_HOUR) for amount in (fp8.upper, min(fp8.lower, fp8.upper)))
        lines[day] = Line(amounts=Counter({gpu_type: upper}), imported=Counter({gpu_type: upper - lower}))
    return chart_of(gpu_type, lines, report.days, id=f"fp8-{gpu_type}")


def _causes(found: Throughput) -> list[tuple[str, int]]:
    words = cause_words()
    return [(words[cause], amount) for cause, amount in found.unobserved_by_cause.items() if amount]


def cause_words() -> Mapping[str, str]:
    return {
        "without_event": _("no node said which GPU it was"),
        "two_owners": _("two jobs between two measurements"),
        "unread": _("the GPU could not be read"),
        "gap": _("no measurement"),
    }


def source_words() -> Mapping[str, str]:
    return {
        "reported": _("declared by jobs"),
        "gpm_counter": _("the driver's tensor counters"),
        "gpm_gauge": _("the driver's tensor gauges"),
        "none": _("unmeasured time at the peak of the highest clock"),
    }


def spreadsheet_rows(report: Report, energy: EnergyReport) -> list[Sequence[object]]:
    """One day and GPU type a line. Seconds to the microsecond: here observed + unobserved = allocated in every sum, and
    observed is what the columns of the losses and of the useful time add up to."""
    header = [
        _("Day"), _("GPU type"), _("Allocated, GPU-seconds"), _("Observed, GPU-seconds"), _("Unobserved, GPU-seconds"),
        *cause_words().values(),
        _("FP8 declared, EFLOP-hours"), _("FP8 at most, EFLOP-hours"), _("Allocated at FP8 peak, EFLOP-hours"),
        _("Any tensor, declared, EFLOP-hours"), _("Any tensor, at most, EFLOP-hours"), _("Refused, EFLOP-hours"),
        _("Sources"), _("Peak table"), _("Emulated"),
        *(_("%(step)s, GPU-seconds") % {"step": word} for name, word in step_words().items() if name != "unobserved"),
        _("GPUs, measured, kWh"), _("With PUE, kWh"), _("CO₂, kg"),
    ]  # fmt: skip
    rows: list[Sequence[object]] = [header]
    for row in sorted(rows_of(report), key=lambda row: (row.day or date.min, row.found.gpu_type)):
        found = row.found
        observed_us = int(found.sums["observed_us"])
        assert row.day is not None
        used = energy.by_day[row.day][found.gpu_type]
        rows.append(
            (
                row.day, found.gpu_type, found.allocated_gpu_seconds, _seconds(observed_us),
                _seconds(found.allocated_gpu_seconds * 1_000_000 - observed_us),
                *(_seconds(int(found.sums[f"{cause}_us"])) for cause in cause_words()),
                found.fp8.lower, _known(found.fp8.upper), _known(found.fp8.allocated_peak),
                found.any_tensor.lower, _known(found.any_tensor.upper), found.refused_eflop_hours,
                " ".join(found.sources), report.peaks_version, _("yes") if found.is_emulated else _("no"),
                *(_seconds(amount) for name, amount in found.steps_us.items() if name != "unobserved"),
                used.gpu_kwh, _known(used.centre_kwh), _known(used.co2_kg),
            )
        )  # fmt: skip
    return rows


def _seconds(amount_us: int) -> str | int:
    whole, rest = divmod(amount_us, 1_000_000)
    return f"{whole}.{rest:06d}" if rest else whole


def _known(amount: float | None) -> object:
    return "" if amount is None else amount
