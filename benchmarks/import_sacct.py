"""Records per second and peak memory of `manage.py import_sacct`, from the start of the command to its end.

    .venv/bin/python -m benchmarks.import_sacct [TRACE.csv] [--records 1000000]

TRACE.csv is a job trace with the columns u_id,user,gpu_num,cpu_num,node_num,interval,run_time,wall_time,new_status
(interval: seconds since the submission before; run_time in seconds; status Pass, Failed or Killed). Without one, jobs
are drawn from the distribution of such a trace (15,000 jobs of SenseTime's Helios; see GPUS, STATES and drawn()).
Imported are the trace once, and the trace repeated up to so many records. Linear: how long the last 100,000 took beside
the first 100,000, in reading and charging together (what lies between them are single statements over all of them).
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
RECORDS_PER_S, RECORDS_PER_S_SMALL, PEAK_MIB = 10_000, 5_000, 400  # small: the command's start is a good part of it
LINEAR_PART, LINEAR_FROM = 100_000, 300_000  # records; in fewer the first part and the last are not apart

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


class Run(NamedTuple):
    result: dict[str, object]  # what the command says
    took_s: float
    used_s: float  # processor time of the command; PostgreSQL's is not in it
    peak_mib: float
    marks: list[list[object]]  # doing, how much, of how much, when, processor time by then


def imported(path: Path, cluster: str, database: str) -> Run:
    """The command in a process of its own, as a person runs it, but for its progress bar, which takes notes."""
    given = settings.DATABASES["default"]
    environment = os.environ | {
        "DATABASE_URL": f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{database}"
    }
    marks = path.with_suffix(".marks")
    command = ["import_sacct", str(path), "--cluster", cluster, "--create-missing", "--json"]
    vector = [sys.executable, "-m", "benchmarks.import_noted", str(marks), *command]
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen(vector, stdout=out, env=environment, cwd=Path(__file__).resolve().parent.parent)
        _pid, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        took_s = time.monotonic() - began
        if child.returncode:
            raise SystemExit(f"import_sacct failed with status {child.returncode}")
        out.seek(0)
        return Run(
            result=json.loads(out.read().splitlines()[-1]),
            took_s=took_s,
            used_s=usage.ru_utime + usage.ru_stime,
            peak_mib=usage.ru_maxrss / 1024,
            marks=json.loads(marks.read_text()),
        )


def part_s(marks: list[list[object]], doing: str, begin: float, end: float, clock: int) -> float:
    """How long a phase took from one part of it to another (0 to 1), between the nearest notes, by a clock."""
    notes = [(mark[1] / mark[2], mark[clock]) for mark in marks if mark[0] == doing]  # type: ignore[operator]
    first = max((note for note in notes if note[0] <= begin), default=notes[0])
    last = min((note for note in notes if note[0] >= end), default=notes[-1])
    return (last[1] - first[1]) / (last[0] - first[0]) * (end - begin)  # type: ignore[operator,no-any-return]


def measure_linear(name: str, run: Run, records: int) -> None:
    part = LINEAR_PART / records
    for what, clock, aim in (("", 3, "<=1.2"), ("_processor", 4, "-")):
        first = sum(part_s(run.marks, doing, 0, part, clock) for doing in ("reading", "charging"))
        last = sum(part_s(run.marks, doing, 1 - part, 1, clock) for doing in ("reading", "charging"))
        print(f"import_sacct_{name}_last_of_first_{LINEAR_PART}{what} {last / first:.2f} ratio {aim}", flush=True)


def measure(jobs: list[Traced], copies: int, name: str, database: str, directory: Path) -> None:
    path = directory / f"{name}.txt"
    written = dump_write(jobs, path, copies)
    records = written["records"]
    run = imported(path, name.replace("_", "-"), database)
    assert run.result["new"] == records, run.result
    assert run.result["charged_gpu_seconds"] == {"v100": written["gpu_seconds"]}, run.result
    aim = RECORDS_PER_S if records >= LINEAR_FROM else RECORDS_PER_S_SMALL
    print(f"import_sacct_{name}_records_per_s {records / run.took_s:.0f} 1/s >={aim}")
    print(f"import_sacct_{name}_processor {run.used_s / records * 1e6:.0f} µs/record -")
    print(f"import_sacct_{name}_peak_memory_mib {run.peak_mib:.0f} MiB <={PEAK_MIB}", flush=True)
    if records >= LINEAR_FROM:
        measure_linear(name, run, records)
    again = imported(path, name.replace("_", "-"), database)
    assert (again.result["new"], again.result["charged_gpu_seconds"]) == (0, {}), again.result
    print(f"import_sacct_{name}_again_records_per_s {records / again.took_s:.0f} 1/s -", flush=True)


def run(options: argparse.Namespace, database: str) -> None:
    jobs = list(traced(options.trace) if options.trace else drawn())
    copies = -(-options.records // len(jobs))
    with tempfile.TemporaryDirectory() as directory:
        for name, times in (("once", 1), (f"times_{copies}", copies)):
            Cluster.objects.create(name=name.replace("_", "-"), title="Bench", created_at=now())
            connections.close_all()
            measure(jobs, times, name, database, Path(directory))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "trace", type=Path, nargs="?", help="a job trace as CSV; drawn from its distribution without one"
    )
    parser.add_argument("--records", type=int, default=1_000_000, help="of the second dump, the trace repeated")
    options = parser.parse_args()
    with own_database("import") as name:
        run(options, name)


if __name__ == "__main__":
    main()
