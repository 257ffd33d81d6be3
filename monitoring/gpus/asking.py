"""What the GPUs of a job did, asked from Prometheus: at most once a job, span and interval, however many people watch.

A question is bounded by GPUs and points, not by how long the job has run. Answers lie in Redis; while that is away
nothing is asked, so that a page which everybody opens does not ask for each of them.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db.models import Q
from redis.exceptions import RedisError

from monitoring.attribution.models import Exporter, Interval
from monitoring.gpus.points import AT, Owned, Point, points_of
from monitoring.rollups.prometheus import INFO, JOB, Prometheus, PrometheusError
from monitoring.rollups.stretches import AGE, BUSY, ENERGY, MEMORY_TOTAL, MEMORY_USED, OBSERVED, TENSOR, TENSOR_BUSY
from portal.clock import now
from scheduler.jobs.asking import reaching
from scheduler.jobs.models import Job, Run

GPUS_MOST = 64  # of one job, asked for at once
POINTS_MOST = 90
SPANS_S = {"hour": 3_600, "run": None}
TIMEOUT_S = 4
ASKED_S = 15  # whoever asks and dies is waited for so long
KEPT_S = 600
_SERIES = (OBSERVED, BUSY, TENSOR_BUSY, TENSOR, ENERGY, AGE, MEMORY_USED)


@dataclass(frozen=True, slots=True)
class Gpu:
    uuid: str
    node: str
    ordinal: str  # "" where nothing says it
    name: str
    memory_total_bytes: float | None
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Of the job's run under way, or its last one. `error`: Prometheus did not answer. `gpus_all` may be more than are
    shown; 0: no node has said which GPUs they are."""

    at: float
    began: float
    ended: float
    gpus: tuple[Gpu, ...] = ()
    gpus_all: int = 0
    emulated: bool = False
    error: bool = False

    @property
    def has_points(self) -> bool:
        return any(gpu.points for gpu in self.gpus)


def every_s() -> float:
    """So often is asked: nothing new comes between two scrapes."""
    return max(settings.GPU_SCRAPE_INTERVAL_S, 5.0)


def seen_of(job: Job, span: str) -> Seen | None:
    """The last answer, at most an interval old; None where the first one is on its way. Raises NotReachable."""
    key = f"gpus:{job.pk}:{span}"
    with reaching():
        store = caches["redis"]
        known = store.get(key)
        seen = _read(known) if known else None
        if seen and _is_fresh(job, seen):
            return seen
        if not store.add(f"{key}:asked", 1, timeout=ASKED_S):
            return seen
        try:
            fresh = seen_ask(job, span)
            store.set(key, stored(fresh), timeout=KEPT_S)
            return fresh
        finally:
            with suppress(RedisError, OSError):
                store.delete(f"{key}:asked")


def _is_fresh(job: Job, seen: Seen) -> bool:
    """What was asked after the last scrapes of a job that has ended is asked no more as long as it is kept."""
    settled = max((run.ended_at.timestamp() for run in job.runs.all() if run.ended_at), default=0.0) + 4 * every_s()
    is_last = not job.is_open and not seen.error and seen.at >= settled
    return is_last or now().timestamp() - seen.at < every_s()


def stored(seen: Seen) -> dict[str, Any]:
    """As it lies in Redis: points are thousands, and their names would be most of it."""
    row = asdict(replace(seen, gpus=()))
    row["gpus"] = [
        asdict(replace(gpu, points=())) | {"points": [_short(one) for one in gpu.points]} for gpu in seen.gpus
    ]
    return row


def _short(point: Point) -> list[float | None]:
    return [None if value is None else round(value, 4) for value in astuple(point)]


def _read(row: dict[str, Any]) -> Seen:
    gpus = tuple(Gpu(**(gpu | {"points": tuple(Point(*point) for point in gpu["points"])})) for gpu in row["gpus"])
    return Seen(**(row | {"gpus": gpus}))


def seen_ask(job: Job, span: str) -> Seen:
    """Asks now. Prometheus' trouble is part of the answer."""
    moment = now()
    owned = owned_of(job, moment)
    if not owned:
        return Seen(moment.timestamp(), moment.timestamp(), moment.timestamp())
    ended = max(gpu.ended for gpu in owned)
    began = min(gpu.began for gpu in owned)
    length = SPANS_S[span]
    began = max(began, ended - length) if length else began
    shown = owned[:GPUS_MOST]
    try:
        prometheus = Prometheus(settings.PROMETHEUS_URL, timeout_s=TIMEOUT_S)
        gpus, emulated = _gpus(prometheus, shown, began, ended)
    except PrometheusError:
        return Seen(moment.timestamp(), began, ended, gpus_all=len(owned), error=True)
    return Seen(moment.timestamp(), began, ended, gpus, len(owned), emulated)


def is_measured(job: Job) -> bool:
    """Whether any exporter of its cluster is known."""
    return Exporter.objects.filter(cluster=job.cluster_id).exists()


def runs_shown(job: Job) -> list[Run]:
    """Those that run, or else the last one that did."""
    started = [run for run in job.runs.all() if run.started_at and run.job_id_raw is not None and run.submit_at]
    under_way = [run for run in started if run.ended_at is None]
    return under_way or started[-1:]


def owned_of(job: Job, moment: datetime) -> list[Owned]:
    """The job's GPUs by attribution, each with the time in which it was the run's, in order of node and UUID."""
    which = Q(pk=None)
    for run in runs_shown(job)[:GPUS_MOST]:
        which |= Q(job_id_raw=run.job_id_raw, submit_at=run.submit_at)
    rows = Interval.objects.filter(which, cluster=job.cluster_id, charged_from__isnull=False).order_by("node", "uuid")
    return [
        Owned(row.uuid, row.node, row.charged_from.timestamp(), (row.charged_to or moment).timestamp())
        for row in rows
        if row.charged_from is not None and row.charged_from < (row.charged_to or moment)
    ]


def _gpus(prometheus: Prometheus, owned: Sequence[Owned], began: float, ended: float) -> tuple[tuple[Gpu, ...], bool]:
    """Raises PrometheusError."""
    which = f'job="{JOB}",uuid=~"{"|".join(gpu.uuid for gpu in owned)}"'
    first = began + min(1.5 * settings.GPU_SCRAPE_INTERVAL_S, (ended - began) / 4)  # the last scrape is the job's own
    step = max((ended - first) / POINTS_MOST, 1.0)
    columns: dict[str, dict[str, dict[float, float]]] = {gpu.uuid: {} for gpu in owned}
    for row in prometheus.grid(f'{{__name__=~"{"|".join(_SERIES)}",{which}}}', first, ended, step):
        name = row["metric"]["__name__"]
        column = columns.get(row["metric"].get("uuid", ""), {}).setdefault(name, {})
        for at, value in row["values"]:
            column[at] = column.get(at, 0.0) * (name == TENSOR) + float(value)  # tensor cores: from two sources
    for row in prometheus.grid(f"timestamp({OBSERVED}{{{which}}})", first, ended, step):
        column = columns.get(row["metric"].get("uuid", ""), {}).setdefault(AT, {})
        column.update((at, float(value)) for at, value in row["values"])
    about: dict[tuple[str, str], dict[str, Any]] = {}
    for row in prometheus.at(f'{{__name__=~"{INFO}|{MEMORY_TOTAL}",{which}}}', ended):
        about[row["metric"]["__name__"], row["metric"].get("uuid", "")] = row
    emulated = any(row["metric"].get("emulated") != "false" for (name, _uuid), row in about.items() if name == INFO)
    return tuple(_gpu(gpu, columns[gpu.uuid], about) for gpu in owned), emulated


def _gpu(owned: Owned, columns: dict[str, dict[float, float]], about: dict[tuple[str, str], dict[str, Any]]) -> Gpu:
    info = about.get((INFO, owned.uuid), {"metric": {}})["metric"]
    total = about.get((MEMORY_TOTAL, owned.uuid))
    return Gpu(
        owned.uuid,
        owned.node,
        info.get("ordinal", ""),
        info.get("name", ""),
        float(total["value"][1]) if total else None,
        tuple(points_of(owned, columns)),
    )
