"""What Slurm shows of a job against what its hold covers. Pure.

The owner of a pending job could change it (the fence in job_submit.lua refuses that, this is the net below it), and so
could an administrator. What differs is held for anew, or the job is cancelled with the reason.
"""

from dataclasses import dataclass

from scheduler.clusters.adapters.protocol import QueueJob
from scheduler.jobs.preflight import hold_gpu_seconds


@dataclass(frozen=True)
class Covered:
    """What was submitted and what is held for it. `held_gpu_seconds` is 0 where there is no open hold."""

    user: str
    account: str
    qos: str
    partition: str
    gpu_type: str
    gpus: int
    time_limit_s: int
    held_gpu_seconds: int
    is_task: bool = False  # one of an array that was submitted as one; each task has a hold of its own


@dataclass(frozen=True)
class Drift:
    """`fields` differ; `is_several`: it became an array or a heterogeneous job, which one hold cannot cover."""

    fields: tuple[str, ...]
    needed_gpu_seconds: int
    gpus: int
    time_limit_s: int
    is_several: bool

    @property
    def same_payer(self) -> bool:
        """Only size or time differ, not whose allocation pays, nor where it runs."""
        return set(self.fields) <= {"gpus", "time_limit", "hold"}


def drift_of(covered: Covered, line: QueueJob, *, overshoot_s: int) -> Drift | None:
    """What differs between a line of squeue and what the job's hold covers; None: nothing.

    A pending job's line may not know its GPUs yet: then the number that was submitted counts.
    """
    gpus = sum(line.gpus.values()) or covered.gpus
    time_limit_s = line.time_limit_s or covered.time_limit_s
    typed = {gpu_type for gpu_type, count in line.gpus.items() if count and gpu_type != "gpu"}
    became_array = line.array_job_id is not None and not covered.is_task
    is_several = became_array or line.array_task_count > 1 or line.het_job_id is not None
    needed = hold_gpu_seconds(gpus=gpus, time_limit_s=time_limit_s, overshoot_s=overshoot_s)
    differs = {
        "array": is_several,
        "account": line.account != covered.account,
        "qos": line.qos != covered.qos,
        "partition": line.partition != covered.partition,
        "gpu_type": bool(typed) and typed != {covered.gpu_type},
    }
    if needed != covered.held_gpu_seconds:
        differs |= {
            "gpus": gpus != covered.gpus,
            "time_limit": time_limit_s != covered.time_limit_s,
            # Also: no hold at all, because it was given back while the job waited.
            "hold": needed > covered.held_gpu_seconds,
        }
    fields = tuple(field for field, different in differs.items() if different)
    return Drift(fields, needed, gpus, time_limit_s, is_several) if fields else None
