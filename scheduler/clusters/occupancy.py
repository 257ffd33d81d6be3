"""What a cluster's GPUs are doing, reckoned from one look at it: small enough to keep and to show, however large it is.

The worker reckons once a cycle; pages read the result. Times are as of that look, on the portal's clock.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from scheduler.clusters.adapters.parse import UNTYPED_GPU
from scheduler.clusters.adapters.protocol import NodeInfo, PartitionInfo, QueueJob

# By when running jobs give their GPUs back, at the latest: seconds from the look.
HORIZONS_S = (3_600, 4 * 3_600, 12 * 3_600, 24 * 3_600, 72 * 3_600)
STARTS_KEPT = 200  # of the pending jobs that Slurm has estimated a start for, the soonest
IN_SERVICE = ("idle", "mixed", "allocated")
# Slurm's base states and flags (scontrol show node; slurm.h, NODE_STATE_*) in the order in which one decides.
_DOWN_BASES = {"DOWN", "ERROR", "FAIL", "UNKNOWN", "FUTURE"}
_DOWN_FLAGS = {"NOT_RESPONDING", "FAIL", "POWERED_DOWN", "POWERING_DOWN", "INVALID_REG", "REBOOT_ISSUED"}


@dataclass(slots=True)
class GpuCount:
    """GPUs of one type. `out` are those that nothing can start on: their node is down, drained or kept for repair."""

    total: int = 0
    allocated: int = 0
    out: int = 0

    @property
    def free(self) -> int:
        return max(0, self.total - self.allocated - self.out)


@dataclass(slots=True)
class AccountShare:
    """Jobs and GPUs of one Slurm account; an array's waiting tasks count each."""

    running_jobs: int = 0
    running_gpus: Counter[str] = field(default_factory=Counter)
    pending_jobs: int = 0
    pending_gpus: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Start:
    """A pending job that Slurm's backfill has planned."""

    job_id: int
    account: str
    gpu_type: str
    gpus: int
    start_at: str  # ISO 8601, UTC


@dataclass(slots=True)
class Occupancy:
    """`releases`: by GPU type, GPUs that running jobs give back within each of HORIZONS_S, cumulated.

    `free_by_node`: by GPU type, how many nodes have so many GPUs free (as text: a key of JSON)."""

    gpus: dict[str, GpuCount] = field(default_factory=dict)
    nodes: Counter[str] = field(default_factory=Counter)
    releases: dict[str, list[int]] = field(default_factory=dict)
    accounts: dict[str, AccountShare] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    free_by_node: dict[str, Counter[str]] = field(default_factory=dict)

    def nodes_with(self, gpu_type: str, gpus: int) -> int:
        """Nodes on which so many GPUs are free."""
        return sum(nodes for free, nodes in self.free_by_node.get(gpu_type, {}).items() if int(free) >= gpus)

    def as_json(self) -> dict[str, Any]:
        return {
            "gpus": {kind: asdict(count) for kind, count in self.gpus.items()},
            "nodes": dict(self.nodes),
            "releases": self.releases,
            "accounts": {
                name: {
                    "running_jobs": share.running_jobs,
                    "running_gpus": dict(share.running_gpus),
                    "pending_jobs": share.pending_jobs,
                    "pending_gpus": dict(share.pending_gpus),
                }
                for name, share in self.accounts.items()
            },
            "starts": [asdict(start) for start in self.starts],
            "free_by_node": {kind: dict(nodes) for kind, nodes in self.free_by_node.items()},
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Occupancy":
        """Of what `as_json` gave; of {} where nothing was seen yet."""
        return cls(
            gpus={kind: GpuCount(**count) for kind, count in stored.get("gpus", {}).items()},
            nodes=Counter(stored.get("nodes", {})),
            releases=dict(stored.get("releases", {})),
            accounts={
                name: AccountShare(
                    running_jobs=share["running_jobs"],
                    running_gpus=Counter(share["running_gpus"]),
                    pending_jobs=share["pending_jobs"],
                    pending_gpus=Counter(share["pending_gpus"]),
                )
                for name, share in stored.get("accounts", {}).items()
            },
            starts=[Start(**start) for start in stored.get("starts", [])],
            free_by_node={kind: Counter(nodes) for kind, nodes in stored.get("free_by_node", {}).items()},
        )


def node_class(state: str) -> str:
    """One of idle, mixed, allocated, draining, drained, reserved, down: what a node is to somebody who wants a GPU.

    `state` as Slurm prints it: a base state, flags behind +, marks like * for "does not respond".
    """
    words = state.upper().split("+")
    base, flags = words[0].rstrip("*~#!%$@^-"), set(words[1:])
    if base in _DOWN_BASES or flags & _DOWN_FLAGS or "*" in words[0]:
        return "down"
    if "DRAIN" in flags:
        return "draining" if base in ("ALLOCATED", "MIXED") or "COMPLETING" in flags else "drained"
    if flags & {"MAINTENANCE", "MAINT", "RESERVED"}:
        return "reserved"
    return base.lower() if base.lower() in IN_SERVICE else "down"


def occupancy_of(
    nodes: Iterable[NodeInfo],
    partitions: Sequence[PartitionInfo],
    queue: Iterable[QueueJob],
    *,
    seen_at: datetime,
    clock_ahead_s: int = 0,
) -> Occupancy:
    """`clock_ahead_s`: by how much slurmctld's clock, which writes the times of jobs, is ahead of that of `seen_at`."""
    found = Occupancy()
    ahead = timedelta(seconds=clock_ahead_s)
    for node in nodes:
        _count_node(found, node)
    types = {partition.name: partition.gpu_type for partition in partitions}
    returns: dict[str, list[tuple[float, int]]] = defaultdict(list)
    planned: list[tuple[datetime, QueueJob, Counter[str]]] = []
    for job in queue:
        gpus = _by_type(job, types)
        share = found.accounts.setdefault(job.account, AccountShare())
        if job.state == "PENDING":
            share.pending_jobs += job.array_task_count
            share.pending_gpus.update({kind: count * job.array_task_count for kind, count in gpus.items()})
            if job.start_at is not None:
                planned.append((job.start_at - ahead, job, gpus))
            continue
        share.running_jobs += 1
        share.running_gpus.update(gpus)
        if job.start_at is not None and job.time_limit_s is not None:
            left_s = (job.start_at - ahead - seen_at).total_seconds() + job.time_limit_s
            for kind, count in gpus.items():
                returns[kind].append((left_s, count))
    found.releases = {
        kind: [sum(count for left_s, count in rows if left_s <= horizon) for horizon in HORIZONS_S]
        for kind, rows in sorted(returns.items())
    }
    planned.sort(key=lambda row: (row[0], row[1].job_id))
    found.starts = [
        Start(job.job_id, job.account, next(iter(gpus), ""), sum(gpus.values()), start_at.isoformat())
        for start_at, job, gpus in planned[:STARTS_KEPT]
    ]
    return found


def _count_node(found: Occupancy, node: NodeInfo) -> None:
    kind_of_node = node_class(node.state)
    found.nodes[kind_of_node] += 1
    untyped = node.gpus_allocated.get(UNTYPED_GPU, 0) if len(node.gpus) == 1 else 0
    for kind, total in node.gpus.items():
        count = found.gpus.setdefault(kind, GpuCount())
        allocated = min(total, node.gpus_allocated.get(kind, untyped))
        count.total += total
        count.allocated += allocated
        if kind_of_node not in IN_SERVICE:
            count.out += total - allocated
        elif total > allocated:
            found.free_by_node.setdefault(kind, Counter())[str(total - allocated)] += 1


def _by_type(job: QueueJob, types: Mapping[str, str]) -> Counter[str]:
    """A request for GPUs of no type is for those of its partition."""
    kind = types.get(job.partition) or UNTYPED_GPU
    found: Counter[str] = Counter()
    for name, count in job.gpus.items():
        found[kind if name == UNTYPED_GPU else name] += count
    return found
