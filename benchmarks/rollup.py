"""Seconds and memory of counting an hour of GPUs: a real Prometheus' samples become figures of runs in PostgreSQL.

    .venv/bin/python -m benchmarks.rollup [--gpus 10240]

Every GPU has the eight series that the rollup reads, and its memory, of which it asks the peak when a run has ended,
scraped every 15 s for an hour and a quarter. Runs of 4 GPUs own all of them; a twentieth of the runs end in the middle
and others take their GPUs. The blocks are Prometheus' own, made by promtool. Prometheus and the rollup share one core.
Then one look of the watching at all these GPUs. Prints one line a figure: name value unit aim.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from monitoring.attribution.models import Interval  # noqa: E402
from monitoring.rollups.models import MemoryPeak, Window, WindowRun  # noqa: E402
from monitoring.rollups.prometheus import Prometheus  # noqa: E402
from monitoring.rollups.times import WINDOW, window_of  # noqa: E402
from monitoring.rollups.windows import window_count  # noqa: E402
from monitoring.watching.evidence import sights  # noqa: E402
from portal.clock import now  # noqa: E402
from scheduler.clusters.models import Cluster  # noqa: E402
from tests.monitoring.rollups.tsdb import blocks_make, serving  # noqa: E402

SCRAPE_S, CLOCK_HZ, GPUS_A_RUN = 15, 1.7e9, 4
ENDS = window_of(now() - timedelta(hours=2))
BEGAN = ENDS - timedelta(hours=1)
SERIES = (
    ("gpu_observed_seconds", "counter", "", 1.0),
    ("gpu_tensor_clock_cycles", "counter", "", 0.5 * CLOCK_HZ),
    ("gpu_tensor_observed_seconds", "counter", ',source="gpm_counter"', 1.0),
    ("gpu_busy_seconds", "counter", "", 0.9),
    ("gpu_tensor_busy_seconds", "counter", "", 0.5),
    ("gpu_throttled_seconds", "counter", "", 0.01),
    ("gpu_energy_joules", "counter", "", 512.3),
    ("gpu_reading_age_seconds", "gauge", "", 0.0),
    ("nvidia_gpu_memory_used_bytes", "gauge", "", 1e7),
    ("nvidia_gpu_memory_total_bytes", "gauge", "", 2e7),
)


def uuid_of(number: int) -> str:
    return f"GPU-{number:08x}-0000-4000-8000-000000000000"


def samples_write(path: Path, gpus: range) -> None:
    """Every GPU at its own moment of the fifteen seconds, as scrapes are spread."""
    first = BEGAN.timestamp() - 10 * SCRAPE_S
    scrapes = range(round(3_600 / SCRAPE_S) + 20)
    with path.open("w") as out:
        for name, kind, label, rate in SERIES:
            out.write(f"# TYPE {name} {kind}\n")
            suffix = "_total" if kind == "counter" else ""
            for gpu in gpus:
                head = f'{name}{suffix}{{job="gpu",uuid="{uuid_of(gpu)}",instance="node{gpu // 8:04d}:9445"{label}}}'
                offset = gpu % 150 / 10
                out.writelines(
                    f"{head} {(scrape * SCRAPE_S + 1_000) * rate:.3f} {first + scrape * SCRAPE_S + offset:.3f}\n"
                    for scrape in scrapes
                )
        out.write("# TYPE gpu_info gauge\n")
        for gpu in gpus:
            label = f'job="gpu",uuid="{uuid_of(gpu)}",emulated="true",gpu_type="h100"'
            for at in range(round(first), round(ENDS.timestamp()), 300):
                out.write(f"gpu_info{{{label}}} 1 {at}\n")
        out.write("# EOF\n")


def intervals_of(cluster: Cluster, gpus: int) -> Iterator[Interval]:
    half = BEGAN + timedelta(minutes=31, seconds=7)
    for gpu in range(gpus):
        run = gpu // GPUS_A_RUN
        spans = [(BEGAN - WINDOW, half), (half + timedelta(seconds=4), ENDS + WINDOW)]
        for number, (began, ended) in enumerate(spans if run % 20 == 0 else [(BEGAN - WINDOW, ENDS + WINDOW)]):
            yield Interval(
                cluster=cluster, node=f"node{gpu // 8:04d}", uuid=uuid_of(gpu), job_id_raw=2 * run + number + 1,
                submit_at=began, started_at=began, ended_at=ended, charged_from=began, charged_to=ended,
                start_known="event", end_known="event",
            )  # fmt: skip


def run(gpus: int) -> None:
    settings.GPU_SCRAPE_INTERVAL_S = SCRAPE_S  # whatever the stack's own is
    cluster = Cluster.objects.create(name="bench", title="Bench", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    Interval.objects.bulk_create(intervals_of(cluster, gpus), batch_size=1_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with tempfile.TemporaryDirectory() as directory:
        for first in range(0, gpus, 1_280):  # a file at a time: promtool keeps what it reads
            text = Path(directory, "samples.txt")
            samples_write(text, range(first, min(first + 1_280, gpus)))
            blocks_make(text, Path(directory, "data"))
            text.unlink()
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # Prometheus inherits it
        with serving(Path(directory, "data")) as prometheus:
            measured(prometheus, gpus)
            watched(prometheus, gpus)


def measured(prometheus: Prometheus, gpus: int) -> None:
    began, began_cpu, seen = time.monotonic(), time.process_time(), 0
    for number in range(4):
        starts_at = BEGAN + number * WINDOW
        window_count(Window.objects.create(starts_at=starts_at, due_at=now()), prometheus)
        seen += sum(WindowRun.objects.filter(starts_at=starts_at).values_list("observed_us", flat=True))
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - began_cpu
    owned = gpus * 3_600 * 10**6
    assert 0.99 * owned < seen <= owned, (seen, owned)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    print(f"rollup_hour_of_{gpus}_gpus_8_series {wall_s:.1f} s <=60")
    print(f"rollup_hour_of_{gpus}_gpus_8_series_own_cpu {cpu_s:.1f} s -")
    print(f"rollup_hour_of_{gpus}_gpus_8_series_memory {peak_mb:.0f} MB <=500", flush=True)
    assert MemoryPeak.objects.count() == -(-gpus // GPUS_A_RUN // 20)


def watched(prometheus: Prometheus, gpus: int) -> None:
    """At the hour's end, when all that run have run for a whole window of an idle job."""
    settings.WATCH_IDLE_WINDOW_S = 1_800
    Interval.objects.filter(ended_at__gt=ENDS).update(ended_at=None, charged_to=None)
    began = time.monotonic()
    sights(prometheus, ENDS)
    print(f"watching_look_at_{gpus}_gpus {time.monotonic() - began:.1f} s <=20", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", type=int, default=10_240)
    options = parser.parse_args()
    with own_database("rollup"):
        run(options.gpus)


if __name__ == "__main__":
    main()
