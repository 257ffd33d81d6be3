"""What bounds jobs beside their partition: QOS and reservations, as `protocol.ClusterAdapter` speaks of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict


class QosFields(TypedDict, total=False):
    """What is set of a QOS; what is not named stays. -1 clears a number or a TRES."""

    flags: Sequence[str]
    grp_tres_mins: Mapping[str, int]
    min_tres_per_job: Mapping[str, int]
    grp_jobs: int
    grp_submit_jobs: int
    max_tres_per_job: Mapping[str, int]
    max_tres_per_user: Mapping[str, int]
    max_wall_minutes: int
    max_jobs_per_user: int
    max_submit_per_user: int


@dataclass(frozen=True, slots=True)
class QosInfo:
    name: str
    flags: frozenset[str]
    grp_tres_mins: dict[str, int]  # "gres/gpu": minutes, "gres/gpu:h100": minutes
    min_tres_per_job: dict[str, int]
    grp_jobs: int | None
    grp_submit_jobs: int | None
    # What one job, and one person's jobs together, may have. Of TRES only counts: "cpu", "gres/gpu".
    max_tres_per_job: dict[str, int] = field(default_factory=dict)
    max_tres_per_user: dict[str, int] = field(default_factory=dict)
    max_wall_minutes: int | None = None
    max_jobs_per_user: int | None = None
    max_submit_per_user: int | None = None


@dataclass(frozen=True, slots=True)
class QosUsage:
    """slurmctld's own counter (scontrol show assoc_mgr)."""

    name: str
    usage_raw_gpu_seconds: int
    limit_minutes: int | None
    used_minutes: int
    # What the time limits of running jobs still reserve; with what is used, it must stay within the limit.
    running_minutes: int = 0


@dataclass(frozen=True, slots=True)
class ReservationInfo:
    name: str
    partition: str  # "" for any
    starts_at: datetime
    ends_at: datetime
    nodes: int
    gpus: int  # 0 where Slurm does not say
    accounts: tuple[str, ...]
    users: tuple[str, ...]
    is_maintenance: bool
