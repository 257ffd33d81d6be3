"""What one slurmdbd record costs, and under which key. Pure: values in, values out; no database, no Slurm.

The rule: charge = GPUs in AllocTRES (what was allocated, not what was asked for) × ElapsedRaw, in GPU-seconds. A record
is one run of one array task; a requeued job has one record per run. Its key is slurmdbd's own unique key (cluster,
JobIDRaw, submit time); Start and DBIndex may change, so they are no part of it.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid5

from scheduler.clusters.adapters.parse import UNTYPED_GPU

# Never change it: every charge ever booked is found again by an id made from it.
RECORD_NAMESPACE = UUID("6f1d3f0c-7a52-5c1e-9a3e-2f0d8f6b41c7")

UNTYPED = UNTYPED_GPU  # the type of a GPU that nothing names any closer
OPEN_STATES = frozenset({"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED_PENDING"})
# Slurm put the job back into the queue: this run is over, the job is not.
REQUEUE_STATES = frozenset({"REQUEUED", "PREEMPTED", "NODE_FAIL"})

_JOB_STATE = {
    "PENDING": "pending",
    "CONFIGURING": "pending",
    "REQUEUED_PENDING": "pending",
    "RUNNING": "running",
    "COMPLETING": "running",
    "SUSPENDED": "suspended",
    "COMPLETED": "completed",
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "REQUEUED": "cancelled",
    "PREEMPTED": "cancelled",
    "RESIZING": "completed",
    "NODE_FAIL": "node_fail",
}


def charge_id(cluster: str, job_id_raw: int, submit_at: datetime) -> UUID:
    """The charge's idempotency key: UUIDv5 of the record's key, the submit time as whole seconds since the epoch."""
    return charge_id_of_epoch(cluster, job_id_raw, int(submit_at.timestamp()))


def charge_id_of_epoch(cluster: str, job_id_raw: int, submit_epoch_s: int) -> UUID:
    return uuid5(RECORD_NAMESPACE, f"{cluster}/{job_id_raw}/{submit_epoch_s}")


def gpus_named(gpus: Mapping[str, int], *, partition_type: str = "", default_type: str = "") -> dict[str, int]:
    """The same GPUs, the untyped ones under the partition's type, else `default_type`, else still "gpu"."""
    if UNTYPED not in gpus:
        return dict(gpus)
    named = {gpu_type: count for gpu_type, count in gpus.items() if gpu_type != UNTYPED}
    gpu_type = partition_type or default_type or UNTYPED
    named[gpu_type] = named.get(gpu_type, 0) + gpus[UNTYPED]
    return named


def gpu_seconds(gpus: Mapping[str, int], elapsed_s: int) -> int:
    """GPU-seconds of a record, all its types together (a partition has one type, so there is one)."""
    return sum(gpus.values()) * max(elapsed_s, 0)


def hold_gpu_seconds(*, gpus: int, time_limit_s: int, overshoot_s: int) -> int:
    """What a run may cost at most: its whole time limit and the cluster's overshoot (limit polling + KillWait)."""
    return gpus * (time_limit_s + overshoot_s)


def is_final(state: str, end_at: datetime | None) -> bool:
    """Whether this run is over: it has an end and its (plain) state is none of an open job."""
    return end_at is not None and state not in OPEN_STATES


def is_requeue(state: str) -> bool:
    """Whether the job may go on after a run that ended so."""
    return state in REQUEUE_STATES


def job_state(state: str) -> str:
    """The portal's state (`Job.State` value) for Slurm's plain state; what Slurm invents later counts as failed."""
    return _JOB_STATE.get(state, "failed")
