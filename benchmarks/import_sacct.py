"""Records per second and peak memory of `manage.py import_sacct`, from the start of the command to its end.

    .venv/bin/python -m benchmarks.import_sacct [TRACE.csv] [--copies 10]

TRACE.csv is a job trace with the columns u_id,user,gpu_num,cpu_num,node_num,interval,run_time,wall_time,new_status
(interval: seconds since the submission before; run_time in seconds; status Pass, Failed or Killed). Without one, jobs
are drawn from the distribution of such a trace (15,000 jobs of SenseTime's Helios; see GPUS, STATES and drawn()).
Prints one line a figure: name value unit aim. Works in a database of its own on the server of DATABASE_URL, whose role
must be allowed to create one, and drops it at the end.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from portal.clock import now  # noqa: E402
from scheduler.clusters.models import Cluster  # noqa: E402

# How many of 15,000 jobs had so many GPUs, and ended so.
GPUS = {0: 4204, 1: 5939, 2: 544, 4: 647, 8: 2382, 16: 579, 24: 112, 32: 246, 40: 59, 48: 104, 80: 42, 56: 24}
STATES = {"COMPLETED": 9316, "CANCELLED by 0": 3452, "FAILED": 2232}
STATE_OF = {"Pass": "COMPLETED", "Killed": "CANCELLED by 0", "Failed": "FAILED"}
USERS, ACCOUNTS, JOBS = 106, 20, 15_000
RUN_TIME_LN = (4.69, 3.32)  # mean and deviation of ln(run time in s + 1); median 103 s, mean 5.8 h
INTERVAL_LN = (3.28, 1.73)  # of ln(interval in s + 1); 15,000 jobs in 20 days
RUN_TIME_LIMIT_S = 2_000_000
GPUS_PER_NODE = 8

HEADER = "JobIDRaw|JobID|Account|User|Partition|QOS|JobName|State|Submit|Start|End|ElapsedRaw|AllocTRES|NNodes|ExitCode"


class Traced(NamedTuple):
    user: int
    gpus: int
    cpus: int
    interval_s: int
    run_time_s: int
    state: str


def traced(path: Path) -> Iterator[Traced]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield Traced(
                int(row["user"]),
                int(row["gpu_num"]),
                int(row["cpu_num"]),
                int(float(row["interval"])),
                int(float(row["run_time"])),
                STATE_OF.get(row["new_status"], "FAILED"),
            )


def drawn() -> Iterator[Traced]:
    """The same distribution without the trace: GPUs and states by their counts, times log-normal, users by rank."""
    chance = random.Random(2021)
    gpus, states = list(GPUS), list(STATES)
    ranks = [1 / rank for rank in range(1, USERS + 1)]
    for _ in range(JOBS):
        count = chance.choices(gpus, list(GPUS.values()))[0]
        yield Traced(
            chance.choices(range(1, USERS + 1), ranks)[0],
            count,
            max(1, 6 * count),
            int(chance.lognormvariate(*INTERVAL_LN)),
            min(RUN_TIME_LIMIT_S, max(1, int(chance.lognormvariate(*RUN_TIME_LN)))),
            chance.choices(states, list(STATES.values()))[0],
        )


def dump_write(jobs: list[Traced], path: Path, copies: int, accounts: int = ACCOUNTS) -> dict[str, int]:
    """A sacct dump of the jobs, `copies` times one after the other; returns its records and GPU-seconds."""
    submit_at = datetime(2020, 1, 1, tzinfo=UTC)
    number = gpu_seconds = 0
    with path.open("w") as file:
        file.write(HEADER + "\n")
        for job in jobs * copies:
            number += 1
            submit_at += timedelta(seconds=job.interval_s)
            end_at = submit_at + timedelta(seconds=job.run_time_s)
            nodes = max(1, -(-job.gpus // GPUS_PER_NODE))
            gpus = f"gres/gpu:v100={job.gpus},gres/gpu={job.gpus}," if job.gpus else ""
            tres = f"billing={max(job.gpus, 1)},cpu={job.cpus},{gpus}mem={job.cpus * 4}G,node={nodes}"
            submit, end = submit_at.strftime("%Y-%m-%dT%H:%M:%S"), end_at.strftime("%Y-%m-%dT%H:%M:%S")
            file.write(
                f"{number}|{number}|lab{job.user % accounts:02}|u{job.user:04}|v100|normal|train {number}|{job.state}|"
                f"{submit}|{submit}|{end}|{job.run_time_s}|{tres}|{nodes}|0:0\n"
            )
            gpu_seconds += job.gpus * job.run_time_s
    return {"records": number, "gpu_seconds": gpu_seconds}


def imported(path: Path, cluster: str, database: str) -> tuple[dict[str, object], float, float]:
    """The command as a person runs it: its result, seconds, and the peak of its memory in MiB."""
    given = settings.DATABASES["default"]
    environment = os.environ | {
        "DATABASE_URL": f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{database}"
    }
    manage = Path(__file__).resolve().parent.parent / "manage.py"
    vector = [
        sys.executable,
        str(manage),
        "import_sacct",
        str(path),
        "--cluster",
        cluster,
        "--create-missing",
        "--json",
    ]
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen(vector, stdout=out, env=environment)
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        took_s = time.monotonic() - began
        if child.returncode:
            raise SystemExit(f"import_sacct failed with status {child.returncode}")
        out.seek(0)
        return json.loads(out.read().splitlines()[-1]), took_s, usage.ru_maxrss / 1024


def measure(jobs: list[Traced], copies: int, name: str, database: str, directory: Path) -> None:
    path = directory / f"{name}.txt"
    written = dump_write(jobs, path, copies)
    first, took_s, peak_mib = imported(path, name.replace("_", "-"), database)
    assert first["new"] == written["records"], first
    assert first["charged_gpu_seconds"] == {"v100": written["gpu_seconds"]}, first
    print(f"import_sacct_{name}_records_per_s {written['records'] / took_s:.0f} 1/s >=5000")
    print(f"import_sacct_{name}_peak_memory_mib {peak_mib:.0f} MiB <=300", flush=True)
    again, took_s, _peak = imported(path, name.replace("_", "-"), database)
    assert (again["new"], again["charged_gpu_seconds"]) == (0, {}), again
    print(f"import_sacct_{name}_again_records_per_s {written['records'] / took_s:.0f} 1/s -", flush=True)


def run(options: argparse.Namespace, database: str) -> None:
    jobs = list(traced(options.trace) if options.trace else drawn())
    with tempfile.TemporaryDirectory() as directory:
        for name, copies in (("once", 1), (f"times_{options.copies}", options.copies)):
            Cluster.objects.create(name=name.replace("_", "-"), title="Bench", created_at=now())
            connections.close_all()
            measure(jobs, copies, name, database, Path(directory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "trace", type=Path, nargs="?", help="a job trace as CSV; drawn from its distribution without one"
    )
    parser.add_argument("--copies", type=int, default=10, help="a second, larger dump: the trace so many times")
    options = parser.parse_args()
    with own_database("import") as name:
        run(options, name)


if __name__ == "__main__":
    main()
