#!/usr/bin/python3
"""Reports the floating-point operations of a training job, so that the centre can say what its GPU-hours delivered.

In Python, once for each step, in every process for what that process did:

    from saola_report import report
    report(6 * parameters * tokens, precision="fp8")

In a shell:

    saola-report FLOP [PRECISION] [SPARSITY]        adds FLOP to what the shell reported before

Beside Megatron-LM started with --log-throughput, once a node, in the background or at the end of a pipe:

    saola-report --megatron LOG [PRECISION] [GPUS] &        reads what is added to LOG; LOG may be - for standard input

GPUS are those of this node whose work the log tells of; without it Slurm's own number of them.

PRECISION is that of the matrix products: fp8, bf16, fp16, tf32, fp32, fp64, int8 or undeclared; SPARSITY dense, 2:4 or
unknown. Reporting never fails a job: where nothing can be written, nothing is. Without this file: write lines
`PRECISION SPARSITY FLOP`, sums since the job began as whole numbers, into a file of your own with a name that ends in
.flops, in the folder that `saola-report --folder` prints. Python's standard library only.
"""

import atexit
import fcntl
import json
import os
import re
import sys
import threading
import time

EVERY_S = 2.0
CHUNK, LINE = 1 << 16, 1 << 14  # bytes: read at once, and of a line; what is longer is no line of Megatron-LM's
# What Megatron-LM prints every so many iterations; time and throughput are means over those since the line before.
_ITERATION = re.compile(rb"\biteration +(\d{1,12})/ *\d+ \|")
_MS = re.compile(rb"elapsed time per iteration \(ms\): *(\d{1,9}(?:\.\d*)?) *\|")
_TFLOPS = re.compile(rb"throughput per GPU \(TFLOP/s/GPU\): *(\d{1,6}(?:\.\d*)?) *\|")
GAP_MOST = 10000  # iterations between two lines: more is another run's line
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


class Megatron:
    """Adds up the FLOPs of one GPU, line after line. The first line stands for one iteration: how many it is the mean
    of is not known yet, and what is declared is never too much."""

    def __init__(self):
        self.before = None

    def flop_of(self, line):
        """Of the iterations that the line tells of; 0 of any other line."""
        iteration, ms, tflops = (pattern.search(line) for pattern in (_ITERATION, _MS, _TFLOPS))
        if not (iteration and ms and tflops):
            return 0
        number = int(iteration.group(1))
        gap = 1 if self.before is None else number - self.before
        self.before = number
        if not 0 < gap <= GAP_MOST:  # the run went back to a checkpoint, or it is another one
            gap = 1
        return int(float(tflops.group(1)) * 1e12 * float(ms.group(1)) / 1e3 * gap)


def gpus_here():
    """How many GPUs the job has on this node."""
    number = os.environ.get("SLURM_GPUS_ON_NODE", "")
    if number.isdigit():
        return int(number)
    return len([one for one in os.environ.get("SLURM_JOB_GPUS", "").split(",") if one])


def lines_of(path, parent):
    """What is added to the file from now on, line by line, until whoever started this has ended. A file that is not
    there yet is waited for, one that shrank begins anew; - is standard input, to its end."""
    if path == "-":
        for line in iter(lambda: sys.stdin.buffer.readline(LINE), b""):
            yield line
        return
    try:
        place = os.stat(path).st_size  # what an earlier run left in it was counted by that run
    except OSError:
        place = 0
    rest = b""
    while True:
        last_look = os.getppid() != parent
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size < place:
                    place, rest = 0, b""
                file.seek(place)
                for chunk in iter(lambda: file.read(CHUNK), b""):
                    place += len(chunk)
                    whole = (rest + chunk).split(b"\n")
                    rest = whole.pop()[-LINE:]
                    for line in whole:
                        yield line[-LINE:]
        except OSError:
            pass
        if last_look:
            return
        time.sleep(EVERY_S)


def megatron(path, precision="undeclared", gpus=""):
    count = int(gpus) if gpus else gpus_here()
    reader = Megatron()
    for line in lines_of(path, os.getppid()):
        flop = reader.flop_of(line)
        if flop:
            report(flop * count, precision)


atexit.register(flush)

if __name__ == "__main__":
    if sys.argv[1:] == ["--folder"]:
        print(folder() or "")
    elif sys.argv[1:2] == ["--megatron"] and 3 <= len(sys.argv) <= 5:
        try:
            megatron(*sys.argv[2:])
        except (OSError, ValueError, KeyboardInterrupt) as error:
            print(f"saola-report: {error}", file=sys.stderr)
    elif not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    else:
        try:
            _add(*sys.argv[1:])
        except (OSError, ValueError, OverflowError) as error:
            print(f"saola-report: {error}", file=sys.stderr)
