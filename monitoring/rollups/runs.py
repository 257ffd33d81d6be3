"""A run's figures by day: what was charged, how much of it was seen, and by what cause the rest was not.

Made from settlement's record, attribution's intervals, the windows and what the job declared; always all of them, so
that making it again changes nothing.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import IntegerField, Max, Q, Sum
from django.db.models.functions import Cast, TruncDate

from monitoring.attribution.models import Declared, Interval, Progress
from monitoring.attribution.services import RECORDS_OVERLAP, micros
from monitoring.days import gpu_seconds_by_day
from monitoring.rollups.models import RunDay, WindowRun
from monitoring.rollups.purposes import NOT_STATED, Purpose, purposes_of
from monitoring.rollups.sums import days_sum
from monitoring.rollups.times import kept_since
from monitoring.throughput.bounds import Cycles, is_above_possible
from monitoring.throughput.devices import FP8, TENSOR_PRECISIONS, Device, device_of
from monitoring.throughput.losses import Edges, edges_of
from portal.clock import centre_zone, now
from quotas.estimator.peaks import PEAKS_VERSION
from scheduler.clusters.slices import Slices, slices_read
from scheduler.jobs.models import Run
from scheduler.settlement.models import Record

CHUNK = 500
RECORDS = "run figures"
SPARSE = "2:4"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
FAILED = ("FAILED", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE")
SECOND_US = 1_000_000
_SUMMED = [
    *("observed_us", "outside_us", "two_owners_us", "unread_us", "counter_us", "gauge_us", "busy_us"),
    *("tensor_busy_us", "throttled_us", "tensor_clock_cycles", "energy_j"),
]
_CAUSES = ("without_event_us", "two_owners_us", "unread_us")


class Key(NamedTuple):
    """A run, as slurmdbd tells it from all others. Without a submit time: a job that is none of ours."""

    cluster: int
    job_id_raw: int
    submit_at: datetime | None


@dataclass(slots=True)
class _Run:
    """What the portal knows of a run, ended or not."""

    key: Key
    organisation_id: int
    project_id: int
    user: str
    gpu_type: str
    gpus: int
    started_at: datetime
    ended_at: datetime  # of one that runs: now
    elapsed_s: int
    charged_gpu_seconds: int
    is_final: bool
    failed: bool
    voucher_id: int
    purpose: Purpose = NOT_STATED
    windows: dict[date, Mapping[str, Any]] = field(default_factory=dict)
    owned_us: dict[date, int] = field(default_factory=dict)
    declared: dict[date, dict[str, float]] = field(default_factory=dict)
    is_sparse: bool = False


def runs_refresh(keys: Collection[Key]) -> None:
    """The figures of these runs, and the sums of the days they touch, anew. In the caller's transaction, if any."""
    ordered = sorted(key for key in keys if key.submit_at is not None)
    for first in range(0, len(ordered), CHUNK):
        with transaction.atomic():
            for cluster, of_cluster in groupby(ordered[first : first + CHUNK], key=lambda key: key.cluster):
                _refresh(cluster, list(of_cluster))


def records_follow(budget_s: float) -> int:
    """The figures of runs whose records settlement has read or changed, for about so long. Answers how many."""
    began, began_at, done = time.monotonic(), now(), 0
    progress, _made = Progress.objects.get_or_create(name=RECORDS, defaults={"until": _EVER})
    while True:
        after = Q(read_at__gt=progress.until) | Q(read_at=progress.until, pk__gt=progress.number)
        rows = Record.objects.filter(after, allocation__isnull=False).order_by("read_at", "pk")
        part = list(rows.values_list("cluster_id", "job_id_raw", "submit_at", "read_at", "pk")[:CHUNK])
        runs_refresh({Key(*row[:3]) for row in part})
        done += len(part)
        if len(part) < CHUNK:  # all of them; what another transaction has read and not committed yet comes next time
            progress.until, progress.number = began_at - RECORDS_OVERLAP, 0
        else:
            progress.until, progress.number = part[-1][3], part[-1][4]
        progress.save()
        if len(part) < CHUNK or time.monotonic() - began > budget_s:
            return done


# --- reading ------------------------------------------------------------------------------------------------------


def _refresh(cluster: int, keys: Sequence[Key]) -> None:
    jobs = {key.job_id_raw for key in keys}
    slices = slices_read()
    old = list(
        RunDay.objects.filter(cluster=cluster, job_id_raw__in=jobs).values_list(
            "pk", "job_id_raw", "submit_at", "organisation_id", "day", "is_final"
        )
    )
    runs = _ended(cluster, jobs, slices)
    runs |= {key: run for key, run in _running(cluster, jobs).items() if key not in runs}
    stands = {Key(cluster, one[1], one[2]) for one in old if one[5]}  # figures without which nothing would be left
    since = kept_since()
    keys = [key for key in keys if not (key in stands and key in runs and runs[key].started_at < since)]
    wanted = {key: runs[key] for key in keys if key in runs}
    _windows_read(cluster, wanted)
    _intervals_read(cluster, wanted)
    _declared_read(cluster, jobs, runs, wanted)
    purposes = purposes_of({run.voucher_id for run in wanted.values()})
    for run in wanted.values():
        run.purpose = purposes.get(run.voucher_id, NOT_STATED)
    rows = [row for run in wanted.values() for row in _days_of(run, slices)]
    replaced = [one for one in old if Key(cluster, one[1], one[2]) in set(keys)]
    RunDay.objects.filter(pk__in=[one[0] for one in replaced]).delete()
    RunDay.objects.bulk_create(rows, batch_size=500)
    touched = {(one[3], one[4]) for one in replaced if one[5]}
    touched |= {(row.organisation_id, row.day) for row in rows if row.is_final}
    days_sum(touched)


def _ended(cluster: int, jobs: Collection[int], slices: Slices) -> dict[Key, _Run]:
    rows = Record.objects.filter(
        cluster=cluster, job_id_raw__in=jobs, is_final=True, allocation__isnull=False, charged_gpu_seconds__gt=0
    ).select_related("allocation__project")
    found = {}
    for row in rows:
        assert row.allocation is not None
        key = Key(cluster, row.job_id_raw, row.submit_at)
        ended_at = row.ended_at or row.submit_at
        found[key] = _Run(
            key,
            row.allocation.project.organisation_id,
            row.allocation.project_id,
            row.user,
            row.gpu_type if slices.get(row.gpu_type) else row.allocation.gpu_type,
            row.gpus,
            min(row.started_at or ended_at, ended_at),
            ended_at,
            row.elapsed_s,
            row.charged_gpu_seconds,
            True,
            row.state in FAILED,
            row.allocation.voucher_id,
        )
    return found


def _running(cluster: int, jobs: Collection[int]) -> dict[Key, _Run]:
    """As if they ended now."""
    moment = now().replace(microsecond=0)
    rows = Run.objects.filter(
        cluster=cluster, job_id_raw__in=jobs, submit_at__isnull=False, started_at__isnull=False, ended_at=None
    ).select_related("job__project", "job__allocation")
    found = {}
    for row in rows:
        assert row.job_id_raw is not None
        assert row.started_at is not None
        key = Key(cluster, row.job_id_raw, row.submit_at)
        ended_at = max(moment, row.started_at)
        elapsed_s = int((ended_at - row.started_at).total_seconds())
        found[key] = _Run(
            key,
            row.job.project.organisation_id,
            row.job.project_id,
            row.job.unix_account,
            row.job.gpu_type,
            row.gpus,
            row.started_at,
            ended_at,
            elapsed_s,
            row.gpus * elapsed_s,
            False,
            False,
            row.job.allocation.voucher_id,
        )
    return found


def _windows_read(cluster: int, runs: Mapping[Key, _Run]) -> None:
    rows = (
        WindowRun.objects.filter(cluster=cluster, job_id_raw__in={key.job_id_raw for key in runs})
        .order_by()
        .annotate(day=TruncDate("starts_at", tzinfo=centre_zone()))
        .values("job_id_raw", "submit_at", "day")
        .annotate(**{f"{name}_sum": Sum(name) for name in _SUMMED}, is_emulated=Max(Cast("emulated", IntegerField())))
    )
    for row in rows:
        run = runs.get(Key(cluster, row["job_id_raw"], row["submit_at"]))
        if run is not None:
            run.windows[row["day"]] = row


def _intervals_read(cluster: int, runs: Mapping[Key, _Run]) -> None:
    """Device time inside the run that a node has told the GPU of, by day."""
    zone = centre_zone()
    rows = Interval.objects.filter(
        cluster=cluster, job_id_raw__in={key.job_id_raw for key in runs}, charged_from__isnull=False
    )
    for job, submit_at, began, ended in rows.values_list("job_id_raw", "submit_at", "charged_from", "charged_to"):
        run = runs.get(Key(cluster, job, submit_at))
        if run is None or began is None:
            continue
        ended = min(ended or run.ended_at, run.ended_at)
        if ended > began:
            for day, part in gpu_seconds_by_day(micros(ended) - micros(began), began, ended, zone).items():
                run.owned_us[day] = run.owned_us.get(day, 0) + part


def _declared_read(cluster: int, jobs: Collection[int], runs: Mapping[Key, _Run], wanted: Mapping[Key, _Run]) -> None:
    """What grew on each day, given to the run whose start lies nearest to the making of the job's folder."""
    by_job: dict[int, list[_Run]] = defaultdict(list)
    for key, run in runs.items():
        by_job[key.job_id_raw].append(run)
    rows = Declared.objects.filter(cluster=cluster, job_id_raw__in=jobs)
    ordered = rows.order_by("job_id_raw", "node", "began_at", "precision", "sparsity", "day")
    for (job, _node, began_at, precision, sparsity), lines in groupby(
        ordered, key=lambda row: (row.job_id_raw, row.node, row.began_at, row.precision, row.sparsity)
    ):
        if not by_job[job]:
            continue
        run = min(by_job[job], key=lambda one: abs(one.started_at - began_at))
        if run.key not in wanted:
            continue
        run.is_sparse |= sparsity == SPARSE
        before = 0.0
        for line in lines:
            total = float(line.flop_total)
            amounts = run.declared.setdefault(line.day, {})
            amounts[precision] = amounts.get(precision, 0.0) + max(0.0, total - before)
            before = max(before, total)


# --- making -------------------------------------------------------------------------------------------------------


def _days_of(run: _Run, slices: Slices) -> list[RunDay]:
    zone = centre_zone()
    charged = gpu_seconds_by_day(run.charged_gpu_seconds, run.started_at, run.ended_at, zone)
    device_seconds = run.gpus * max(run.elapsed_s, 0)
    devices = gpu_seconds_by_day(device_seconds * SECOND_US, run.started_at, run.ended_at, zone)
    days = sorted(charged.keys() | devices.keys())
    device = device_of(run.gpu_type, slices.parent(run.gpu_type))
    rows = [_day(run, day, device, charged.get(day, 0), devices.get(day, 0)) for day in days]
    emulated = any(row["is_emulated"] for row in run.windows.values())
    declared = _declared_by_day(run, days)
    total = {
        precision: sum(amounts.get(precision, 0.0) for amounts in declared.values())
        for precision in {precision for amounts in declared.values() for precision in amounts}
    }
    refused = is_above_possible(device, _cycles(rows), total)
    for row in rows:
        row.emulated_gpu_seconds = row.allocated_gpu_seconds if emulated else 0
        amounts = declared.get(row.day, {})
        tensor = sum(amounts.get(precision, 0.0) for precision in TENSOR_PRECISIONS)
        if refused:
            row.refused_flop = tensor
        else:
            row.fp8_flop, row.tensor_flop = amounts.get(FP8, 0.0), tensor
    return rows


def _day(run: _Run, day: date, device: Device, allocated: int, device_us: int) -> RunDay:
    """Everything clipped to what it is a part of: seen ≤ owned ≤ the devices' time. The gap is what is left."""
    seen = run.windows.get(day, {})

    def part(name: str, most: float) -> int:
        return min(int(seen.get(f"{name}_sum") or 0), int(most))

    owned = min(run.owned_us.get(day, 0), device_us)
    observed = part("observed_us", owned)
    two_owners = part("two_owners_us", owned - observed)
    unread = part("unread_us", owned - observed - two_owners)
    counter = part("counter_us", observed)
    gauge = part("gauge_us", observed - counter)
    edges = _edges(seen, device, observed, counter + gauge)
    allocated_us = allocated * SECOND_US

    def charged(amount: int) -> int:
        return amount * allocated_us // device_us if device_us else 0

    assert run.key.submit_at is not None
    row = RunDay(
        cluster_id=run.key.cluster,
        job_id_raw=run.key.job_id_raw,
        submit_at=run.key.submit_at,
        day=day,
        organisation_id=run.organisation_id,
        project_id=run.project_id,
        user=run.user,
        gpu_type=run.gpu_type,
        sector=run.purpose.sector,
        product_group=run.purpose.product_group,
        is_final=run.is_final,
        counted_at=now(),
        peaks_version=PEAKS_VERSION,
        allocated_gpu_seconds=allocated,
        failed_gpu_seconds=allocated if run.failed else 0,
        observed_us=charged(observed),
        without_event_us=charged(device_us - owned),
        two_owners_us=charged(two_owners),
        unread_us=charged(unread),
        idle_us=charged(observed) - charged(edges.busy_us),
        no_tensor_us=charged(edges.busy_us) - charged(edges.known_us),
        tensor_unread_us=charged(edges.known_us) - charged(edges.tensor_us),
        throttled_lost_us=charged(edges.tensor_us) - charged(edges.full_us),
        failed_lost_us=charged(edges.full_us) if run.failed else 0,
        device_us=device_us,
        outside_us=int(seen.get("outside_us_sum") or 0),
        counter_us=counter,
        gauge_us=gauge,
        busy_us=part("busy_us", observed),
        tensor_busy_us=part("tensor_busy_us", observed),
        throttled_us=part("throttled_us", observed),
        energy_j=seen.get("energy_j_sum") or 0.0,
    )
    row.gap_us = allocated_us - row.observed_us - sum(getattr(row, cause) for cause in _CAUSES)
    cycles, no_cycles = seen.get("tensor_clock_cycles_sum") or 0.0, device_us - counter - gauge
    if run.is_sparse:
        row.sparse_cycles, row.sparse_no_cycles_us = cycles, no_cycles
    else:
        row.cycles, row.no_cycles_us = cycles, no_cycles
    return row


def _edges(seen: Mapping[str, Any], device: Device, observed: int, read: int) -> Edges:
    clock = device.max_sm_clock_hz
    cycles = seen.get("tensor_clock_cycles_sum") or 0.0
    return edges_of(
        observed_us=observed,
        read_us=read,
        busy_us=int(seen.get("busy_us_sum") or 0),
        tensor_us=int(seen.get("tensor_busy_us_sum") or 0),
        throttled_us=int(seen.get("throttled_us_sum") or 0),
        at_full_clock_us=round(cycles / clock * SECOND_US) if clock else None,
    )


def _declared_by_day(run: _Run, days: Sequence[date]) -> dict[date, dict[str, float]]:
    """On the run's own days: what was read after its last midnight belongs to its last day."""
    found: dict[date, dict[str, float]] = defaultdict(dict)
    for day, amounts in run.declared.items():
        of = found[min(max(day, days[0]), days[-1])]
        for precision, flop in amounts.items():
            of[precision] = of.get(precision, 0.0) + flop
    return found


def _cycles(rows: Iterable[RunDay]) -> Cycles:
    listed = list(rows)
    return Cycles(
        dense=sum(row.cycles for row in listed),
        sparse=sum(row.sparse_cycles for row in listed),
        unread_dense_s=sum(row.no_cycles_us for row in listed) / SECOND_US,
        unread_sparse_s=sum(row.sparse_no_cycles_us for row in listed) / SECOND_US,
    )
