"""What is to be seen at this moment: verdicts with what they rest on. Reads only; nothing is written here.

Prometheus is asked for sums over the window, one question a figure for the whole centre, however many jobs run.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Sum

from monitoring.attribution.models import Declared, Exporter, Interval
from monitoring.rollups.models import RunDay
from monitoring.rollups.prometheus import JOB, Prometheus, PrometheusError
from monitoring.rollups.stretches import BUSY, ENERGY, OBSERVED, TENSOR, TENSOR_BUSY
from monitoring.throughput.bounds import eflop_hours
from monitoring.throughput.devices import TENSOR_PRECISIONS
from monitoring.watching.core import GpuWindow, Verdict, exporter_of, idle_of, silent_of
from monitoring.watching.models import Finding
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run

Kind = Finding.Kind
XIDS = "48|63|64|74|79|94|95|119|120"  # after which a GPU wants a reset or a look: as in Prometheus' own alert
XID_S, ECC_S = 900, 3_600
ABOVE_FOR = timedelta(days=7)  # since it was counted
PULLED_EVERY_S = 15.0  # portal/settings.py: exporters-pull


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    kind: str
    cluster: int
    subject: str
    verdict: Verdict
    evidence: dict[str, Any] = field(default_factory=dict)
    job: UUID | None = None
    node: str = ""

    @property
    def key(self) -> tuple[str, int, str]:
        return self.kind, self.cluster, self.subject


def idle_window() -> timedelta:
    return timedelta(seconds=settings.WATCH_IDLE_WINDOW_S)


def node_window() -> timedelta:
    return timedelta(seconds=settings.WATCH_NODE_WINDOW_S)


def window_of(kind: str) -> timedelta:
    return idle_window() if kind in (Kind.IDLE, Kind.SILENT) else node_window()


def sights(prometheus: Prometheus | None, moment: datetime) -> list[Sight]:
    """Everything that can be said now. What Prometheus is needed for is left out while it does not answer."""
    found = [*_above(moment)]
    scraped: Mapping[tuple[str, str], bool] = {}
    if prometheus is not None:
        try:
            found += _jobs(prometheus, moment)
            found += _sick(prometheus, moment)
            scraped = _scraped(prometheus, moment)
        except PrometheusError:
            pass
    return [*found, *_exporters(scraped, moment)]


# --- jobs -----------------------------------------------------------------------------------------------------------


def _jobs(prometheus: Prometheus, moment: datetime) -> Iterator[Sight]:
    """Of every job that runs, the tasks of an array together. What has not run for the whole window is not judged yet:
    its GPUs' time was another's, or it was suspended."""
    window = idle_window()
    owned: dict[tuple[int, int, datetime], list[Interval]] = defaultdict(list)
    rows = Interval.objects.filter(charged_to=None, charged_from__isnull=False, submit_at__isnull=False)
    for row in rows:
        assert row.submit_at is not None
        owned[row.cluster_id, row.job_id_raw, row.submit_at].append(row)
    if not owned:
        return
    figures = _window_figures(prometheus, window, moment)
    jobs = _jobs_of(owned)
    declared = set(
        Declared.objects.filter(
            precision__in=TENSOR_PRECISIONS, flop_total__gt=0, job_id_raw__in={key[1] for key in owned}
        ).values_list("cluster_id", "job_id_raw")
    )
    of_jobs: dict[UUID, list[Interval]] = defaultdict(list)
    for key, intervals in owned.items():
        if key in jobs:
            of_jobs[jobs[key].pk] += intervals
    for job in {job.pk: job for job in jobs.values()}.values():
        old = [row for row in of_jobs[job.pk] if row.charged_from and row.charged_from <= moment - window]
        ran = job.state == Job.State.RUNNING and job.updated_at <= moment - window
        gpus = [_gpu_window(row, figures) for row in old] if ran else []
        is_whole = len(old) == len(of_jobs[job.pk])
        yield _sight_idle(job, gpus, window.total_seconds(), is_whole=is_whole)
        is_declared = any((row.cluster_id, row.job_id_raw) in declared for row in old)
        yield _sight_silent(job, gpus, window.total_seconds(), declared=is_declared, is_whole=is_whole)


def _jobs_of(keys: Iterable[tuple[int, int, datetime]]) -> dict[tuple[int, int, datetime], Job]:
    runs = Run.objects.filter(job_id_raw__in={key[1] for key in keys}, ended_at=None, submit_at__isnull=False)
    runs = runs.select_related("job").defer("job__script", "job__filled", "job__chosen")
    found = {}
    for run in runs:
        assert run.job_id_raw is not None
        assert run.submit_at is not None
        found[run.cluster_id, run.job_id_raw, run.submit_at] = run.job
    return found


def _window_figures(prometheus: Prometheus, window: timedelta, moment: datetime) -> dict[str, dict[str, float]]:
    """By series and UUID, what each counter grew by."""
    length = f"{round(window.total_seconds() * 1_000)}ms"
    found: dict[str, dict[str, float]] = {}
    for name in (OBSERVED, BUSY, TENSOR, TENSOR_BUSY, ENERGY):
        query = f'sum by (uuid) (increase({name}{{job="{JOB}"}}[{length}]))'
        rows = prometheus.at(query, moment.timestamp())
        found[name] = {row["metric"].get("uuid", ""): float(row["value"][1]) for row in rows}
    return found


def _gpu_window(row: Interval, figures: Mapping[str, Mapping[str, float]]) -> GpuWindow:
    def of(name: str) -> float | None:
        return figures[name].get(row.uuid)

    return GpuWindow(row.uuid, row.node, of(OBSERVED) or 0.0, of(BUSY), of(TENSOR), of(TENSOR_BUSY), of(ENERGY))


def _sight_idle(job: Job, gpus: list[GpuWindow], window_s: float, *, is_whole: bool) -> Sight:
    verdict, idle = idle_of(gpus, window_s)
    if verdict == Verdict.NO and not is_whole:
        verdict = Verdict.UNKNOWN
    evidence: dict[str, Any] = {}
    if idle:
        evidence = _of_gpus(idle, gpus, window_s) | {
            "busy_percent": 100 * max(gpu.share() or 0.0 for gpu in idle),
            "all": is_whole and len(idle) == len(gpus) == job.gpus,
        }
    return _of_job(Kind.IDLE, job, verdict, evidence)


def _sight_silent(job: Job, gpus: list[GpuWindow], window_s: float, *, declared: bool, is_whole: bool) -> Sight:
    verdict, found = silent_of(gpus, window_s, declared=declared)
    if verdict == Verdict.NO and not is_whole:
        verdict = Verdict.UNKNOWN
    evidence: dict[str, Any] = {}
    if found:
        power = not found[0].busy
        evidence = _of_gpus(found, gpus, window_s) | {
            "which": "power" if power else "tensor",
            "busy_percent": 100 * (found[0].share() or 0.0),
            "watts": found[0].watts(),
        }
    return _of_job(Kind.SILENT, job, verdict, evidence)


def _of_gpus(found: list[GpuWindow], gpus: list[GpuWindow], window_s: float) -> dict[str, Any]:
    return {
        "found": len(found),
        "gpus": len(gpus),
        "window_s": window_s,
        "nodes": sorted({gpu.node for gpu in found})[:16],
        "uuids": sorted(gpu.uuid for gpu in found)[:16],
    }


def _of_job(kind: str, job: Job, verdict: Verdict, evidence: dict[str, Any]) -> Sight:
    return Sight(kind=kind, cluster=job.cluster_id, subject=str(job.pk), verdict=verdict, evidence=evidence, job=job.pk)


def _above(moment: datetime) -> Iterator[Sight]:
    """Jobs that the rollup flagged in the last days. One that was counted anew and fits is no longer there."""
    rows = RunDay.objects.filter(refused_flop__gt=0, counted_at__gte=moment - ABOVE_FOR)
    sums = list(rows.values("cluster", "job_id_raw", "submit_at").annotate(flop=Sum("refused_flop")))
    runs = Run.objects.filter(job_id_raw__in={row["job_id_raw"] for row in sums}).values_list(
        "cluster", "job_id_raw", "submit_at", "job"
    )
    jobs = {(cluster, number, submit_at): job for cluster, number, submit_at, job in runs}
    for row in sums:
        job = jobs.get((row["cluster"], row["job_id_raw"], row["submit_at"]))
        if job is not None:
            evidence = {"eflop_hours": eflop_hours(row["flop"])}
            yield Sight(
                kind=Kind.ABOVE,
                cluster=row["cluster"],
                subject=str(job),
                verdict=Verdict.YES,
                evidence=evidence,
                job=job,
            )


# --- GPUs -----------------------------------------------------------------------------------------------------------


def _sick(prometheus: Prometheus, moment: datetime) -> Iterator[Sight]:
    """GPUs that do not answer for a whole window, XIDs and memory errors a moment ago."""
    clusters = dict(Cluster.objects.values_list("name", "pk"))
    window = f"{round(node_window().total_seconds() * 1_000)}ms"
    gpu = f'{{job="{JOB}"}}'
    xid = f'gpu_xid_errors_total{{job="{JOB}",xid=~"{XIDS}"}}'
    asked = {
        # How it is stands in a label: a GPU that was well within the window has another series.
        "down": f"gpu_up{gpu} == 0 unless on (cluster, node, uuid) (max_over_time(gpu_up{gpu}[{window}]) == 1)",
        # The first of its kind makes the series: an increase sees only the later ones.
        "xid": f"increase({xid}[{XID_S}s]) > 0 or ({xid} unless {xid} offset {XID_S}s)",
        "ecc": f'increase(gpu_ecc_errors_total{{job="{JOB}",kind="uncorrected"}}[{ECC_S}s]) > 0',
        "row_remap": f"gpu_row_remap_failed{gpu} > 0",
    }
    reasons: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for code, query in asked.items():
        for row in prometheus.at(query, moment.timestamp()):
            labels = row["metric"]
            cluster = clusters.get(labels.get("cluster", ""))
            if cluster is not None and labels.get("uuid"):
                what = {"down": labels.get("state", ""), "xid": f"xid {labels.get('xid')}"}.get(code, code)
                reasons[cluster, labels["uuid"], labels.get("node", "")].append(what)
    fine = prometheus.at(f"gpu_up{gpu} == 1 unless on (cluster, node, uuid) gpu_up{gpu} == 0", moment.timestamp())
    seen = set()
    for (cluster, uuid, node), codes in reasons.items():
        seen.add((cluster, uuid))
        evidence = {"reasons": sorted(set(codes))}
        yield _of_gpu(cluster, uuid, node, Verdict.YES, evidence)
    for row in fine:
        labels = row["metric"]
        cluster = clusters.get(labels.get("cluster", ""))
        if cluster is not None and (cluster, labels.get("uuid", "")) not in seen:
            yield _of_gpu(cluster, labels.get("uuid", ""), labels.get("node", ""), Verdict.NO, {})


def _of_gpu(cluster: int, uuid: str, node: str, verdict: Verdict, evidence: dict[str, Any]) -> Sight:
    return Sight(kind=Kind.SICK, cluster=cluster, subject=uuid, verdict=verdict, evidence=evidence, node=node)


# --- exporters ------------------------------------------------------------------------------------------------------


def _scraped(prometheus: Prometheus, moment: datetime) -> dict[tuple[str, str], bool]:
    """By cluster and node, whether a scrape succeeded within the window."""
    window = f"{round(node_window().total_seconds() * 1_000)}ms"
    rows = prometheus.at(f'max_over_time(up{{job="{JOB}"}}[{window}])', moment.timestamp())
    return {
        (row["metric"].get("cluster", ""), row["metric"].get("node", "")): float(row["value"][1]) > 0 for row in rows
    }


def _exporters(scraped: Mapping[tuple[str, str], bool], moment: datetime) -> Iterator[Sight]:
    for row in Exporter.objects.select_related("cluster").filter(cluster__is_active=True):
        verdict, reasons = exporter_of(
            failures=row.failures,
            answered_at=row.answered_at,
            scraped=scraped.get((row.cluster.name, row.node)),
            moment=moment,
            window=node_window(),
            every_s=PULLED_EVERY_S,
        )
        evidence = {"reasons": reasons, "error": row.error} if reasons else {}
        yield Sight(
            kind=Kind.EXPORTER,
            cluster=row.cluster_id,
            subject=row.node,
            verdict=verdict,
            evidence=evidence,
            node=row.node,
        )
