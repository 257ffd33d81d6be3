"""GPUs of a job that runs and of one that has ended, and what somebody should see to."""

import math
from datetime import timedelta

from django.core.cache import caches

from monitoring.attribution.models import Exporter
from monitoring.gpus.asking import Gpu, Seen, stored
from monitoring.gpus.points import Point
from monitoring.rollups.models import MemoryPeak, RunDay, Window
from monitoring.rollups.times import window_of
from monitoring.watching.core import Verdict
from monitoring.watching.evidence import Sight
from monitoring.watching.models import Finding
from monitoring.watching.services import cancel_rule_set, finding_open
from portal.clock import centre_date, now
from scheduler.jobs.models import Job
from tests.monitoring.watching.conftest import idle_sight, sick_sight

SECOND_US = 1_000_000


def gpus_and_findings(world) -> None:
    for job, minutes in ((world.job_running, 20), (world.job_ended, 15)):
        _seen(job, minutes)
    _counted(world.job_ended)
    world.finding = finding_open(sight=idle_sight(world.job_running), moment=now() - timedelta(minutes=40))
    world.sick = finding_open(sight=sick_sight(world.cluster), moment=now())
    silent = {"reasons": ["no_answer"], "error": "it does not answer: [Errno 111] Connection refused"}
    sight = Sight(
        kind=Finding.Kind.EXPORTER, cluster=world.cluster.pk, subject="gpu002", verdict=Verdict.YES, evidence=silent,
        node="gpu002",
    )  # fmt: skip
    finding_open(sight=sight, moment=now() - timedelta(minutes=7))
    cancel_rule_set(cluster=world.cluster, cancels=True, person=world.operator)
    Exporter.objects.create(cluster=world.cluster, node="gpu001", answered_at=now(), read_n=812, newest_n=812)
    Exporter.objects.create(cluster=world.cluster, node="gpu002", failures=28, error=silent["error"], lost_events=4)


def _seen(job: Job, minutes: int) -> None:
    """Four GPUs, one of them idle, and two minutes without a measurement."""
    began = now().timestamp() - 1_200
    ended = began + 60 * minutes
    steps = [began + 15 * number for number in range(int((ended - began) // 15)) if not 24 <= number < 32]
    gpus = tuple(
        Gpu(
            f"GPU-{number}", "gpu001", str(number), "NVIDIA H100 80GB HBM3", 80 * 2.0**30,
            tuple(_point(number, at, at - began) for at in steps),
        )
        for number in range(4)
    )  # fmt: skip
    seen = Seen(now().timestamp() + 300, began, ended, gpus, 4, True)
    for span in ("hour", "run"):
        caches["redis"].set(f"gpus:{job.pk}:{span}", stored(seen), timeout=600)


def _point(number: int, at: float, since: float) -> Point:
    busy = 0.0 if number == 3 else 0.8 + 0.15 * math.sin(since / 90 + number)
    memory = 2.0**30 * (0.5 if number == 3 else min(61, since / 5))
    return Point(at, at + 15, 15.0, busy, busy * 0.45, 70 + 560 * busy, memory)


def _counted(job: Job) -> None:
    run = job.runs.get()
    whole = 1_800 * SECOND_US
    seen = int(0.97 * whole)
    RunDay.objects.create(
        cluster=job.cluster, job_id_raw=run.job_id_raw, submit_at=run.submit_at, day=centre_date(run.submit_at),
        organisation=job.project.organisation, project=job.project, user="minh", gpu_type="h100", is_final=True,
        counted_at=now(), peaks_version="2026-11.2", allocated_gpu_seconds=1_800, emulated_gpu_seconds=1_800,
        observed_us=seen, gap_us=whole - seen, device_us=whole, counter_us=seen, busy_us=int(0.6 * seen),
        tensor_busy_us=int(0.27 * seen), cycles=seen / SECOND_US * 0.27 * 1.7e9, no_cycles_us=whole - seen,
        energy_j=1_800 * 420.0,
    )  # fmt: skip
    MemoryPeak.objects.create(
        cluster=job.cluster, job_id_raw=run.job_id_raw, submit_at=run.submit_at, used_bytes=61 * 2**30,
        total_bytes=80 * 2**30,
    )  # fmt: skip
    Window.objects.update_or_create(starts_at=window_of(run.ended_at), defaults={"counted_at": now()})
