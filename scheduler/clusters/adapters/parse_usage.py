"""What sacct says of CPU time and memory, with a job's steps below it. Pure, as parse.py beside it."""

import re
from collections.abc import Iterable, Sequence

from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.output import RunUsage

FIELDS = (
    "jobidraw", "submit", "elapsedraw", "alloccpus", "totalcpu", "maxrss", "ntasks", "alloctres", "nnodes", "nodelist",
)  # fmt: skip
EXTERN_IDLE_S = 1.0  # what setting it up takes; somebody who works there takes more
HOSTS_MOST = 100_000
_HOST = re.compile(r"([A-Za-z0-9._-]+)(?:\[([0-9,-]+)\])?")
_ONE_HOST = r"[A-Za-z0-9._-]+(?:\[[0-9]{1,9}(?:-[0-9]{1,9})?(?:,[0-9]{1,9}(?:-[0-9]{1,9})?)*\])?"
_HOSTS = re.compile(rf"{_ONE_HOST}(?:,{_ONE_HOST})*")
_UNIT = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)")
_CPU_TIME = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)")


def usage(rows: Iterable[Sequence[str]]) -> list[RunUsage]:
    """One for each run. A step follows its job; with -D the runs before a requeue come first, each with its steps."""
    runs: list[tuple[dict[str, str], list[dict[str, str]]]] = []
    for fields in rows:
        row = dict(zip(FIELDS, fields, strict=True))
        if row["jobidraw"].isdigit():
            runs.append((row, []))
        elif runs:
            runs[-1][1].append(row)
    return [_run(job, steps) for job, steps in runs]


def _run(job: dict[str, str], steps: list[dict[str, str]]) -> RunUsage:
    # A step's processes are gathered as a whole; who has most is what a node must hold at least.
    used = [peak * int(step["ntasks"] or 1) for step in steps if (peak := size_bytes(step["maxrss"])) is not None]
    cpu_s = cpu_time_s(job["totalcpu"])
    return RunUsage(
        job_id_raw=int(job["jobidraw"]),
        submit_at=parse.required_moment(job["submit"]),
        elapsed_s=int(job["elapsedraw"] or 0),
        cpus=int(job["alloccpus"] or 0),
        cpu_s=cpu_s if cpu_s or used else None,  # nought and no memory either: nobody gathered
        memory_bytes=size_bytes(parse.tres(job["alloctres"]).get("mem", "")),
        memory_used_bytes=max(used, default=None),
        nodes=int(job["nnodes"] or 0),
        nodes_used=_nodes_used(steps),
    )


def _nodes_used(steps: Sequence[dict[str, str]]) -> int | None:
    """On how many nodes a step ran; None where that cannot be said. The step `extern` is on all of them and holds who
    came by ssh: it counts as soon as somebody did something there."""
    names: set[str] = set()
    for step in steps:
        if step["jobidraw"].endswith(".extern") and (cpu_time_s(step["totalcpu"]) or 0) < EXTERN_IDLE_S:
            continue
        found = hosts(step["nodelist"])
        if not found:
            return None
        names |= found
    return len(names) or None


def hosts(text: str) -> set[str]:
    """The names in a list of Slurm's, "gpu[001-003,007],login1"; none where it has another form."""
    names: set[str] = set()
    if not _HOSTS.fullmatch(text):
        return names
    for prefix, ranges in _HOST.findall(text):
        for part in ranges.split(","):
            first, dash, last = part.partition("-")
            if dash and not 0 <= int(last) - int(first) < HOSTS_MOST:
                return set()
            numbers = range(int(first), int(last) + 1) if dash else [first]
            names |= {f"{prefix}{number:0{len(first)}}" if dash else f"{prefix}{first}" for number in numbers}
    return names


def size_bytes(text: str) -> int | None:
    """ "120G", "1536K", "12.5M"; None where there is nothing."""
    found = _SIZE.fullmatch(text)
    return round(float(found[1]) * _UNIT[found[2]]) if found else None


def cpu_time_s(text: str) -> float | None:
    """[[days-]hours:]minutes:seconds[.milliseconds]"""
    found = _CPU_TIME.fullmatch(text)
    if not found:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    return ((days * 24 + hours) * 60 + minutes) * 60 + float(found[4])
