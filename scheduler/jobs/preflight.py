"""Does it fit? Pure: a shape and what is known about allocation and cluster in, problems and figures out.

What a job may cost at most is held before it is submitted: GPUs × (time limit + overshoot), in GPU-seconds. Overshoot
is the time by which Slurm may let a job run past its limit (polling of limits + KillWait), a property of the cluster.
Slurm enforces the same limits again; this says early, and in words, which one is broken and what would fit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from quotas.units import gpu_hours_text
from scheduler.jobs.durations import MINUTE_S, duration_text
from scheduler.jobs.problems import Fix as Fix
from scheduler.jobs.problems import Problem as Problem
from scheduler.jobs.problems import Shape as Shape
from scheduler.jobs.problems import problem, time_fix
from scheduler.jobs.special import NOTHING_SPECIAL, Special, special_problems


@dataclass(frozen=True)
class PartitionLimits:
    name: str
    is_up: bool
    nodes: int
    gpus_per_node: int
    max_time_s: int  # 0: no limit
    gpu_type: str = ""  # "": the allocation's
    share: str = ""  # "1/7" where its GPUs are slices of the allocation's type
    cpus_per_node: int = 0
    cpus_per_gpu: int = 0
    memory_mb_per_gpu: int = 0

    @property
    def is_cpu(self) -> bool:
        return bool(self.nodes) and not self.gpus_per_node

    @property
    def is_usual(self) -> bool:
        """One that the portal chooses by itself; slices and the CPU partition are chosen by name."""
        return not self.share and not self.is_cpu


@dataclass(frozen=True)
class Facts:
    today: date  # in the centre's time zone, as the allocation's dates are
    allocation_state: str
    starts_on: date
    ends_on: date
    free_gpu_seconds: int
    overshoot_s: int
    cluster_title: str
    partitions: tuple[PartitionLimits, ...]  # those with the allocation's GPU type
    unix_account: str  # "" if the person has none
    unix_account_exists: bool | None  # None: the cluster's worker has not looked yet
    special: Special = NOTHING_SPECIAL


@dataclass(frozen=True)
class Verdict:
    partition: str
    cost_gpu_seconds: int  # if it runs its whole time limit
    hold_gpu_seconds: int  # what is reserved: cost and overshoot
    free_gpu_seconds: int
    longest_s: int  # the longest time limit that fits this size, 0 if none does
    problems: tuple[Problem, ...]
    share: str = ""  # "1/7" of a GPU

    @property
    def is_free(self) -> bool:
        return not self.hold_gpu_seconds

    @property
    def fits(self) -> bool:
        return not self.problems

    @property
    def free_after_gpu_seconds(self) -> int:
        return self.free_gpu_seconds - self.hold_gpu_seconds


def hold_gpu_seconds(*, gpus: int, time_limit_s: int, overshoot_s: int) -> int:
    """What a run may cost at most: its whole time limit and the cluster's overshoot, in GPU-seconds."""
    return gpus * (time_limit_s + overshoot_s)


def longest_time_limit_s(*, gpus: int, free_gpu_seconds: int, overshoot_s: int, max_time_s: int) -> int:
    """The longest time limit, in whole minutes as Slurm keeps it, whose hold the balance covers. 0: none."""
    if gpus <= 0:
        return 0
    by_balance = max(free_gpu_seconds // gpus - overshoot_s, 0)
    longest = min(by_balance, max_time_s) if max_time_s else by_balance
    return longest // MINUTE_S * MINUTE_S


def placed(shape: Shape, facts: Facts, asked_partition: str = "") -> tuple[Shape, PartitionLimits | None]:
    """The partition, and the shape as it is there: a slice has its own type, the CPU partition no GPUs."""
    partition = _partition(shape, _partitions_asked(facts, asked_partition))
    if partition is None:
        return shape, None
    if partition.is_cpu:
        return replace(shape, gpu_type="", gpus_per_node=0, cpus_per_node=max(shape.cpus_per_node, 1)), partition
    return replace(shape, gpu_type=partition.gpu_type or shape.gpu_type, cpus_per_node=0), partition


def preflight(shape: Shape, facts: Facts, asked_partition: str = "") -> Verdict:
    """Every limit that the shape breaks, each beside its field, with figures and what would fit.

    `asked_partition`: "" takes the partition that fits best. Of a slice the hold is that of whole GPUs, because Slurm
    counts it so until it ends; the cost is its share.
    """
    shape, partition = placed(shape, facts, asked_partition)
    max_time_s = partition.max_time_s if partition else 0
    person = facts.special.person(is_cpu=partition is not None and partition.is_cpu)
    if person is not None:
        max_time_s = min(max_time_s or person.time_limit_s, person.time_limit_s)
    hold = hold_gpu_seconds(gpus=shape.gpus, time_limit_s=shape.time_limit_s, overshoot_s=facts.overshoot_s)
    longest = longest_time_limit_s(
        gpus=shape.gpus,
        free_gpu_seconds=facts.free_gpu_seconds,
        overshoot_s=facts.overshoot_s,
        max_time_s=max_time_s,
    )
    limits = [*_size_problems(shape, partition, facts), *_time_problems(shape, partition)]
    if partition is not None:
        cpus = partition.cpus_per_node if partition.is_cpu else None
        limits += special_problems(facts.special, shape=shape, partition=partition.name, cpus=cpus)
        longest = max_time_s if partition.is_cpu else longest
    problems = [
        *_account_problems(facts),
        *_allocation_problems(facts),
        *_other_problems(asked_partition, facts),
        *limits,
    ]
    # What no partition gives need not be paid for: one limit at a time, each with its way out.
    if not limits and hold and hold > facts.free_gpu_seconds:
        problems.append(_balance_problem(shape, facts, hold, longest))
    return Verdict(
        partition=partition.name if partition else "",
        cost_gpu_seconds=_cost(shape, partition),
        hold_gpu_seconds=hold,
        free_gpu_seconds=facts.free_gpu_seconds,
        longest_s=longest,
        problems=tuple(problems),
        share=partition.share if partition else "",
    )


def _cost(shape: Shape, partition: PartitionLimits | None) -> int:
    gpu_seconds = shape.gpus * shape.time_limit_s
    if partition is None or not partition.share:
        return gpu_seconds
    parts, whole = map(int, partition.share.split("/"))
    return -(-gpu_seconds * parts // whole)


def _partition(shape: Shape, partitions: Iterable[PartitionLimits]) -> PartitionLimits | None:
    """The partition for this shape: open ones and those that it fits first, then the largest."""

    def fitness(partition: PartitionLimits) -> tuple[bool, bool, int, str]:
        fits = shape.gpus_per_node <= partition.gpus_per_node and shape.nodes <= partition.nodes
        return partition.is_up, fits, partition.nodes * partition.gpus_per_node, partition.name

    return max(partitions, key=fitness, default=None)


def _partitions_asked(facts: Facts, name: str) -> tuple[PartitionLimits, ...]:
    """The one that was asked for; the usual ones where none was, or where it is not among them, which is said."""
    return tuple(one for one in facts.partitions if one.name == name) or tuple(
        one for one in facts.partitions if one.is_usual
    )


def _other_problems(asked: str, facts: Facts) -> Iterator[Problem]:
    if asked and asked not in {one.name for one in facts.partitions}:
        yield problem(
            "partition",
            "partition",
            _("%(cluster)s has no partition “%(name)s” with GPUs of this allocation's type."),
            [Fix("partition", "", str(_("Let the portal choose")))],
            cluster=facts.cluster_title,
            name=asked[:40],
        )


def _account_problems(facts: Facts) -> Iterator[Problem]:
    if not facts.unix_account:
        yield problem(
            "no_unix_account",
            "allocation",
            _("You have no unix account yet, and jobs run under it. Ask the centre's operators for one."),
        )
    elif facts.unix_account_exists is False:
        yield problem(
            "unix_account_missing",
            "allocation",
            _("Your unix account %(name)s does not exist on %(cluster)s. Tell the centre's operators."),
            name=facts.unix_account,
            cluster=facts.cluster_title,
        )


def _allocation_problems(facts: Facts) -> Iterator[Problem]:
    dates = {"from": date_format(facts.starts_on), "to": date_format(facts.ends_on)}
    if facts.allocation_state == "suspended":
        yield problem("suspended", "allocation", _("This allocation is suspended."))
    elif facts.allocation_state == "closed":
        yield problem("closed", "allocation", _("This allocation is closed."))
    elif facts.allocation_state == "expired" or facts.today > facts.ends_on:
        yield problem("expired", "allocation", _("This allocation has expired: it was open until %(to)s."), **dates)
    elif facts.today < facts.starts_on:
        yield problem("not_begun", "allocation", _("This allocation opens on %(from)s."), **dates)


def _size_problems(shape: Shape, partition: PartitionLimits | None, facts: Facts) -> Iterator[Problem]:
    if partition is None:
        yield problem(
            "no_partition",
            "allocation",
            _("%(cluster)s has no partition with %(gpu_type)s GPUs at the moment."),
            cluster=facts.cluster_title,
            gpu_type=shape.gpu_type,
        )
        return
    if not partition.is_up:
        yield problem(
            "partition_down",
            "allocation",
            _("Partition %(partition)s is closed at the moment and takes no jobs."),
            partition=partition.name,
        )
    if partition.is_cpu:
        pass
    elif shape.gpus_per_node < 1:
        one = Fix("gpus_per_node", "1", str(_("Take 1 GPU per node")))
        yield problem("no_gpu", "gpus_per_node", _("A job needs at least 1 GPU on each node."), [one])
    elif shape.gpus_per_node > partition.gpus_per_node:
        yield problem(
            "gpus_per_node",
            "gpus_per_node",
            _("A node of partition %(partition)s has %(most)d GPUs; you ask for %(asked)d on each."),
            _node_fixes(shape, partition),
            partition=partition.name,
            most=partition.gpus_per_node,
            asked=shape.gpus_per_node,
        )
    if shape.nodes < 1:
        one = Fix("nodes", "1", str(_("Take 1 node")))
        yield problem("no_node", "nodes", _("A job needs at least 1 node."), [one])
    elif shape.nodes > partition.nodes:
        most = Fix("nodes", str(partition.nodes), str(_("Take %(n)d nodes") % {"n": partition.nodes}))
        yield problem(
            "nodes",
            "nodes",
            _("Partition %(partition)s has %(most)d nodes; you ask for %(asked)d."),
            [most] if partition.nodes else [],
            partition=partition.name,
            most=partition.nodes,
            asked=shape.nodes,
        )


def _node_fixes(shape: Shape, partition: PartitionLimits) -> Iterator[Fix]:
    most = partition.gpus_per_node
    if most:
        yield Fix("gpus_per_node", str(most), str(_("Take %(n)d GPUs per node") % {"n": most}))


def _time_problems(shape: Shape, partition: PartitionLimits | None) -> Iterator[Problem]:
    if shape.time_limit_s < MINUTE_S:
        yield problem("no_time", "time_limit", _("The time limit is at least one minute."))
    elif partition and partition.max_time_s and shape.time_limit_s > partition.max_time_s:
        longest = duration_text(partition.max_time_s)
        yield problem(
            "partition_time",
            "time_limit",
            _("Partition %(partition)s lets a job run for at most %(longest)s."),
            [time_fix(partition.max_time_s // MINUTE_S * MINUTE_S)],
            partition=partition.name,
            longest=longest,
        )


def _balance_problem(shape: Shape, facts: Facts, hold: int, longest: int) -> Problem:
    figures = {
        "needed": gpu_hours_text(hold, up=True),
        "free": gpu_hours_text(max(facts.free_gpu_seconds, 0)),
        "overshoot": duration_text(facts.overshoot_s),
    }
    if longest:
        return problem(
            "balance",
            "time_limit",
            _(
                "This reserves %(needed)s GPU-hours (with %(overshoot)s per GPU for ending the job) and the allocation "
                "has %(free)s left. The longest time that fits is %(longest)s."
            ),
            [time_fix(longest)],
            longest=duration_text(longest),
            **figures,
        )
    most = facts.free_gpu_seconds // (shape.time_limit_s + facts.overshoot_s)
    if most < 1:
        most = facts.free_gpu_seconds // (MINUTE_S + facts.overshoot_s)
    if most < 1:
        return problem(
            "balance",
            "allocation",
            _("This allocation has %(free)s GPU-hours left: less than one GPU for one minute."),
            **figures,
        )
    return problem(
        "balance",
        "gpus_per_node",
        _(
            "This reserves %(needed)s GPU-hours and the allocation has %(free)s left: no time limit fits %(gpus)d "
            "GPUs. At most %(most)d fit."
        ),
        [Fix("gpus_per_node", str(most), str(_("Take %(n)d GPUs per node") % {"n": most}))]
        if shape.nodes == 1
        else [Fix("nodes", "1", str(_("Take 1 node")))],
        gpus=shape.gpus,
        most=most,
        **figures,
    )
