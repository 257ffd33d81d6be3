"""What came of a job's GPU time, once it has ended: its runs' figures added up, and what could be better."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Max, Min, Sum

from monitoring.gpus.advice import IDLE, Advice, Measured, advice_for
from monitoring.gpus.asking import Seen
from monitoring.gpus.points import mean
from monitoring.rollups.models import FIGURES, MemoryPeak, RunDay, Window
from monitoring.rollups.selectors import SECOND_US, Throughput
from monitoring.rollups.times import window_of
from monitoring.rollups.windows import SETTLED_SCRAPES
from monitoring.throughput.devices import device_of
from portal.clock import now
from scheduler.clusters.slices import Slices, slices_read
from scheduler.jobs.models import Job, Run

JOULES_A_KWH = 3.6e6
PFLOP_HOURS = 1_000  # in an EFLOP-hour
COMING = timedelta(minutes=10)  # what is not counted by then waits for something: it is said, not waited for


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Of all runs of the job. Shares are of the time that was observed; None: not measured."""

    found: Throughput
    busy: float | None
    tensor: float | None
    throttled: float | None
    energy_kwh: float | None
    waste_gpu_seconds: int | None  # observed and not busy: at least so much, what nobody saw is not in it
    memory_peak_bytes: int | None
    memory_total_bytes: int | None
    is_counted: bool  # to the end; else figures may still change
    advice: Sequence[Advice] = ()

    @property
    def coverage_percent(self) -> float | None:
        return None if self.found.coverage is None else 100 * self.found.coverage

    @property
    def fp8_lower(self) -> float:
        """PFLOP-hours."""
        return self.found.fp8.lower * PFLOP_HOURS

    @property
    def fp8_upper(self) -> float | None:
        return None if self.found.fp8.upper is None else self.found.fp8.upper * PFLOP_HOURS

    @property
    def busy_percent(self) -> float | None:
        return None if self.busy is None else 100 * self.busy

    @property
    def tensor_percent(self) -> float | None:
        return None if self.tensor is None else 100 * self.tensor

    @property
    def throttled_percent(self) -> float | None:
        return None if self.throttled is None else 100 * self.throttled


def ended_runs(job: Job) -> list[Run]:
    runs = [run for run in job.runs.all() if run.started_at and run.ended_at and run.submit_at and run.job_id_raw]
    return sorted(runs, key=lambda run: (run.ended_at, run.pk))


def summary_of(job: Job, seen: Seen | None) -> Summary | None:
    """None: nothing is counted yet, or nothing was charged. `seen` says which GPUs did nothing, where it is there."""
    runs = ended_runs(job)
    of_runs = {
        "cluster": job.cluster_id,
        "job_id_raw__in": {run.job_id_raw for run in runs},
        "submit_at__in": {run.submit_at for run in runs},
    }
    rows = RunDay.objects.filter(**of_runs)
    sums = rows.aggregate(days=Max("day"), oldest=Min("counted_at"), **{name: Sum(name) for name in FIGURES})
    if not runs or sums["days"] is None:
        return None
    final = set(rows.filter(is_final=True).values_list("job_id_raw", "submit_at"))
    all_final = all((run.job_id_raw, run.submit_at) in final for run in runs if run.charged_gpu_seconds)
    slices = slices_read()
    found = Throughput(
        job.gpu_type, {name: sums[name] for name in FIGURES}, device_of(job.gpu_type, slices.parent(job.gpu_type))
    )
    memory = MemoryPeak.objects.filter(**of_runs).aggregate(peak=Max("used_bytes"), total=Max("total_bytes"))
    return _summary(job, found, memory["peak"], memory["total"], all_final and _windows_counted(runs[-1]), seen, slices)


def _windows_counted(run: Run) -> bool:
    """Whether the window that a run ended in was counted after its last scrapes were in."""
    assert run.ended_at is not None
    settled = run.ended_at + SETTLED_SCRAPES * timedelta(seconds=settings.GPU_SCRAPE_INTERVAL_S)
    return Window.objects.filter(starts_at=window_of(run.ended_at), counted_at__gte=settled).exists()


def is_coming(job: Job, summary: Summary | None) -> bool:
    """Whether more is to be expected within minutes."""
    runs = ended_runs(job)
    charged = any(run.charged_gpu_seconds for run in runs)
    if not runs or runs[-1].ended_at is None or not charged or (summary is not None and summary.is_counted):
        return False
    return now() - runs[-1].ended_at < COMING


def _summary(
    job: Job,
    found: Throughput,
    peak: int | None,
    total: int | None,
    is_counted: bool,
    seen: Seen | None,
    slices: Slices,
) -> Summary:
    observed = found.sums["device_us"] * (found.coverage or 0.0)  # of devices: a slice counts whole
    read = found.sums["counter_us"] + found.sums["gauge_us"]
    busy, throttled = (_share(found.sums[name], observed) for name in ("busy_us", "throttled_us"))
    tensor = _share(found.sums["tensor_busy_us"], read)
    idle = [gpu for gpu in seen.gpus if (mean(gpu.points, "busy") or 0.0) < IDLE and gpu.points] if seen else []
    measured = Measured(
        gpu_seconds=found.allocated_gpu_seconds,
        coverage=found.coverage,
        busy=busy,
        tensor=tensor,
        throttled=throttled,
        memory=peak / total if peak is not None and total else None,
        gpus=len(seen.gpus) if seen else 0,
        gpus_idle=len(idle),
        declared=found.sums["tensor_flop"] > 0,
        above_possible=found.sums["refused_flop"] > 0,
        is_slice=bool(slices.get(job.gpu_type)),
    )
    return Summary(
        found=found,
        busy=busy,
        tensor=tensor,
        throttled=throttled,
        energy_kwh=found.sums["energy_j"] / JOULES_A_KWH if observed else None,
        waste_gpu_seconds=None if busy is None else round(found.sums["observed_us"] / SECOND_US * (1 - busy)),
        memory_peak_bytes=peak,
        memory_total_bytes=total,
        is_counted=is_counted,
        advice=advice_for(measured) if is_counted else (),
    )


def _share(part: float, whole: float) -> float | None:
    return min(part / whole, 1.0) if whole else None
