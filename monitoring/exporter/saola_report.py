#!/usr/bin/python3
"""Reports the floating-point operations of a training job, so that the centre can say what its GPU-hours delivered.

In Python, once for each step, in every process for what that process did:

    from saola_report import report
    report(6 * parameters * tokens, precision="fp8")

In a shell:

    saola-report FLOP [PRECISION] [SPARSITY]        adds FLOP to what the shell reported before

PRECISION is that of the matrix products: fp8, bf16, fp16, tf32, fp32, fp64, int8 or undeclared; SPARSITY dense, 2:4 or
unknown. Reporting never fails a job: where nothing can be written, nothing is. Without this file: write lines
`PRECISION SPARSITY FLOP`, sums since the job began as whole numbers, into a file of your own with a name that ends in
.flops, in the folder that `saola-report --folder` prints. Python's standard library only.
"""

import atexit
import fcntl
import json
import os
import sys
import threading
import time

EVERY_S = 2.0
_totals: dict[tuple[str, str], int] = {}
_lock = threading.Lock()
_written_at = -EVERY_S


def folder():
    """The job's own report folder on this node; None outside a job."""
    named, job = os.environ.get("SAOLA_REPORT_FOLDER"), os.environ.get("SLURM_JOB_ID", "")
    if named:
        return named
    try:
        with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "saola.json"), encoding="utf-8") as file:
            base = json.load(file)["telemetry"]
    except (OSError, ValueError, KeyError):
        base = "/var/lib/saola/telemetry"
    node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename.split(".")[0]
    return os.path.join(base, node, "jobs", job) if job.isdigit() else None


def report(flop, precision="undeclared", sparsity="dense"):
    """Add what this process has done since it last reported."""
    global _written_at
    with _lock:
        _totals[precision, sparsity] = _totals.get((precision, sparsity), 0) + int(flop)
        if time.monotonic() - _written_at < EVERY_S:
            return
        _written_at = time.monotonic()
    flush()


def flush():
    with _lock:
        _write(f"{os.uname().nodename}-{os.getpid()}.flops", _totals)


def _write(name, totals):
    place = folder()
    if not place or not totals:
        return
    text = "".join(f"{precision} {sparsity} {total}\n" for (precision, sparsity), total in totals.items())
    try:
        new = os.path.join(place, f"{name}.new")
        with open(new, "w", encoding="ascii") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o640)
        os.replace(new, os.path.join(place, name))
    except OSError:
        pass


def _add(flop, precision="undeclared", sparsity="dense"):
    """One file for a shell's reports, added to under its own lock."""
    place = folder()
    if not place:
        return
    with open(os.path.join(place, "shell.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        totals = {}
        try:
            with open(os.path.join(place, "shell.flops"), encoding="ascii") as file:
                for words in map(str.split, file):
                    totals[words[0], words[1]] = int(words[2])
        except OSError:
            pass
        totals[precision, sparsity] = totals.get((precision, sparsity), 0) + int(float(flop))
        _write("shell.flops", totals)


atexit.register(flush)

if __name__ == "__main__":
    if sys.argv[1:] == ["--folder"]:
        print(folder() or "")
    elif not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    else:
        try:
            _add(*sys.argv[1:])
        except (OSError, ValueError, OverflowError) as error:
            print(f"saola-report: {error}", file=sys.stderr)
