"""How much a QOS may use, and by how much slurmctld's counter is short of what was used. Pure.

slurmctld saves its counters about every five minutes and loses what came since when it is killed: the budget would
refill by itself. The ledger and the running jobs say what the counter should show; where it shows less, the limit makes
up for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from scheduler.clusters.adapters.limits import QosUsage
from scheduler.clusters.adapters.protocol import QueueJob

MINUTE_S = 60
# Running usage reaches the counters once every PriorityCalcPeriod; measured: 60.0 s behind at most, and a second or two
# until slurmctld answers. A job's end brings its counter up to the second at once.
SLACK_S = 15


@dataclass(frozen=True, slots=True)
class Running:
    """What the jobs of one QOS that run now have used since they started."""

    gpus: int = 0
    gpu_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    minutes: int
    usage_raw_gpu_seconds: int | None
    expected_usage_gpu_seconds: int
    counter_gap_gpu_seconds: int


def running_by_qos(queue: Iterable[QueueJob], read_at: datetime) -> dict[str, Running]:
    found: dict[str, Running] = {}
    for job in queue:
        if job.state == "RUNNING" and job.start_at is not None:
            before = found.get(job.qos, Running())
            gpus = sum(job.gpus.values())
            elapsed_s = max(0, int((read_at - job.start_at).total_seconds()))
            found[job.qos] = Running(before.gpus + gpus, before.gpu_seconds + gpus * elapsed_s)
    return found


def limit(
    *,
    limit_gpu_seconds: int,
    settled_gpu_seconds: int,
    running: Running,
    usage: QosUsage | None,
    priority_calc_period_s: int,
    previous_gap_gpu_seconds: int = 0,
    uncharged_gpu_seconds: int = 0,
) -> Limit:
    """The QOS's limit in whole minutes, rounded down, never below 0.

    `limit_gpu_seconds` is the ledger's (quotas' allocation_limits), `settled_gpu_seconds` everything ever charged to
    the allocation, refunded or not, overrun included. `uncharged_gpu_seconds` nobody is charged for, but slurmctld's
    counter has it (suspended time, measured; what a slice is less than a GPU), so the limit is raised by as much. While
    jobs run the gap is known only to within what they may not have brought to the counter yet; the last figure stays
    while it lies in there, so that the limit does not move with every look. Without a counter (a QOS that slurmctld
    does not know yet) everything used is missing from it.
    """
    expected = settled_gpu_seconds + uncharged_gpu_seconds + running.gpu_seconds
    most = max(0, expected - (usage.usage_raw_gpu_seconds if usage else 0))
    least = most - running.gpus * (priority_calc_period_s + SLACK_S) if usage else most
    gap = previous_gap_gpu_seconds if least <= previous_gap_gpu_seconds <= most else most
    return Limit(
        minutes=max(0, (limit_gpu_seconds + uncharged_gpu_seconds - gap) // MINUTE_S),
        usage_raw_gpu_seconds=usage.usage_raw_gpu_seconds if usage else None,
        expected_usage_gpu_seconds=expected,
        counter_gap_gpu_seconds=gap,
    )
