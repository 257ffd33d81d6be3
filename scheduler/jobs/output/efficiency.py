"""What a job used of what it asked for, and what could be done better. Pure apart from the job's own rows.

Unused walltime is no waste: only what ran is charged, and the rest comes back at the end. Holding more than is used is:
until the end nobody else of the project can use it. CPU time and memory are slurmdbd's, where it gathered any. Of GPUs
slurmdbd knows nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from scheduler.jobs.durations import duration_text
from scheduler.jobs.models import Job

MINUTE_S = 60
ROUND_UP_S = 15 * MINUTE_S
SPARE = 1.25  # a proposed limit above what the longest run took
HELD_IDLE_SHARE = 0.5  # of the time limit: what is below is not worth a word
SHORT_S = 10 * MINUTE_S  # a hold for so short a time hinders nobody
CPU_BUSY, MEMORY_FULL = 0.9, 0.9


@dataclass(frozen=True)
class Used:
    elapsed_s: int  # of the longest run
    time_limit_s: int
    charged_gpu_seconds: int
    idle_hold_gpu_seconds: int  # held and never used, until the end gave it back
    cpu_share: float | None  # of all CPUs over the whole time, 0 to 1
    memory_share: float | None
    memory_used_bytes: int | None
    memory_bytes: int | None
    advice: tuple[str, ...] = ()

    @property
    def cpu_percent(self) -> float | None:
        return None if self.cpu_share is None else 100 * self.cpu_share

    @property
    def memory_percent(self) -> float | None:
        return None if self.memory_share is None else 100 * self.memory_share


def efficiency_of(job: Job, measured: Sequence[dict[str, Any]]) -> Used:
    """`measured` are slurmdbd's figures of the runs (output.py, "usage"), empty where there are none."""
    runs = list(job.runs.all())
    elapsed = [int((run.ended_at - run.started_at).total_seconds()) for run in runs if run.started_at and run.ended_at]
    charged = sum(run.charged_gpu_seconds or 0 for run in runs)
    idle = sum(max(run.held_gpu_seconds - (run.charged_gpu_seconds or 0), 0) for run in runs if run.hold)
    longest = max(elapsed, default=0)
    cpu_share, memory = _cpu_share(measured), _memory(measured)
    used = Used(
        elapsed_s=longest,
        time_limit_s=job.time_limit_s,
        charged_gpu_seconds=charged,
        idle_hold_gpu_seconds=idle,
        cpu_share=cpu_share,
        memory_share=memory[0] / memory[1] if memory else None,
        memory_used_bytes=memory[0] if memory else None,
        memory_bytes=memory[1] if memory else None,
    )
    return replace(used, advice=tuple(_advice(job, used)))


def _cpu_share(measured: Sequence[dict[str, Any]]) -> float | None:
    given = [row for row in measured if row["cpu_s"] is not None and row["cpus"] and row["elapsed_s"]]
    available = sum(row["cpus"] * row["elapsed_s"] for row in given)
    return min(sum(row["cpu_s"] for row in given) / available, 1.0) if available else None


def _memory(measured: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
    """The largest use of a run, with what that run was given."""
    known = [
        (row["memory_used_bytes"], row["memory_bytes"])
        for row in measured
        if row["memory_used_bytes"] is not None and row["memory_bytes"]
    ]
    return max(known, key=lambda pair: pair[0] / pair[1], default=None)


def _advice(job: Job, used: Used) -> list[str]:
    """One line each, the most useful first."""
    lines = []
    if job.state == Job.State.TIMEOUT:
        lines.append(_("It was ended by its time limit: give it more time, or let it save its state and continue."))
    elif job.state == Job.State.COMPLETED and _held_much(used):
        lines.append(
            _("Its hold kept GPU-hours from your project without need: a limit of %(limit)s is enough next time.")
            % {"limit": duration_text(limit_enough_s(used))}
        )
    if used.memory_share is not None and used.memory_share > MEMORY_FULL:
        lines.append(_("It nearly used up its memory: more GPUs bring more memory, smaller batches need less."))
    if used.cpu_share is not None and used.cpu_share > CPU_BUSY:
        lines.append(_("Its CPUs were busy all the time and may keep the GPUs waiting: look at how data is loaded."))
    return lines


def _held_much(used: Used) -> bool:
    is_long = used.time_limit_s - used.elapsed_s > SHORT_S and limit_enough_s(used) < used.time_limit_s
    return is_long and used.elapsed_s < HELD_IDLE_SHARE * used.time_limit_s


def limit_enough_s(used: Used) -> int:
    """A time limit for the next one like it."""
    return max(math.ceil(used.elapsed_s * SPARE / ROUND_UP_S), 1) * ROUND_UP_S
