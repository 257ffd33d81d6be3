"""Reading slurmctld through pyslurm: the same values, field by field, as `commands_read` gives.

pyslurm cannot show everything: text that is not UTF-8 ends in a ValueError, the name None in no name, tasks of an array
that wait again stand by themselves. Such a job alone is read by squeue: whoever names a job cannot keep the portal from
reading the others. One thing is lost: a comment that is the word None reads as no comment.
"""

import pwd
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from portal.clock import now
from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.array_tasks import array_task_count
from scheduler.clusters.adapters.commands_read import ReadCommands
from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import ControllerStatus, NodeInfo, PartitionInfo, QueueJob
from scheduler.clusters.adapters.pyslurm_binding import answering, bound

# Everything else is in the queue: squeue shows it unasked.
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED"}
    | {"TIMEOUT"}
)


class PyslurmReads(ReadCommands):
    programs: Programs

    def controller_status(self) -> ControllerStatus:
        pyslurm = bound(self.programs)
        with answering(pyslurm, "slurmctld"):
            config, statistics = pyslurm.slurmctld.Config.load(), pyslurm.slurmctld.diag()
        return ControllerStatus(
            booted_at=_required(config.slurmctld_boot_time),
            dbd_queue=statistics.dbd_agent_queue_size,
            answered_at=now(),
            priority_calc_period_s=config.priority_calc_period or 300,
            message_timeout_s=config.message_timeout or 10,
            clock_at=_moment(statistics.request_time),
        )

    def nodes(self) -> list[NodeInfo]:
        pyslurm = bound(self.programs)
        with answering(pyslurm, "nodes"):
            found = pyslurm.Nodes.load()
        return [_node(node) for node in found.values()]

    def partitions(self) -> list[PartitionInfo]:
        pyslurm = bound(self.programs)
        with answering(pyslurm, "partitions"):
            found = pyslurm.Partitions.load()
        nodes = self.nodes()
        return [
            parse.partition_info(
                name=row.name,
                is_up=row.state == "UP",
                max_time_s=_seconds(row.max_time) or 0,
                default_time_s=_seconds(row.default_time) or 0,
                all_nodes=nodes,
                beside_gpu={
                    "cpus_per_gpu": _count(row.default_cpus_per_gpu),
                    "memory_mb_per_gpu": _count(row.default_memory_per_gpu),
                },
            )
            for row in found.values()
        ]

    def queue(self, *, job_ids: Sequence[int] = ()) -> list[QueueJob]:
        """Always reads the whole queue: pyslurm's call for one job shows of an array one record."""
        pyslurm = bound(self.programs)
        with answering(pyslurm, "queue"):
            every = pyslurm.Jobs.load().values()
        wanted = set(job_ids)

        def is_wanted(job_id: int, array_id: int | None, het_id: int | None, state: str) -> bool:
            return not wanted.isdisjoint((job_id, array_id, het_id)) if wanted else state not in ENDED

        jobs = [job for job in every if is_wanted(job.id, job.array_id, job.heterogeneous_id, job.state)]
        apart = _arrays_apart(jobs)
        rows, unreadable, name_of = [], set(), _users()
        for job in jobs:
            try:
                if job.array_id not in apart:
                    rows.append(_queue_job(job, name_of))
            except ValueError:
                unreadable.add(job.id)
        if ids := apart | unreadable:
            for row in super().queue(job_ids=sorted(ids)):
                if (row.array_job_id in apart or row.job_id in unreadable) and is_wanted(
                    row.job_id, row.array_job_id, row.het_job_id, row.state
                ):
                    rows.append(row)
        return rows


def _queue_job(job: Any, name_of: Callable[[int], str]) -> QueueJob:
    """Raises ValueError for what pyslurm cannot show."""
    tasks = _array_tasks(job)
    if job.name is None:
        raise ValueError("no name, or None")
    return QueueJob(
        job_id=job.id,
        array_job_id=job.array_id if tasks else None,
        array_tasks=tasks,
        array_task_count=array_task_count(tasks),
        het_job_id=job.heterogeneous_id,
        user=name_of(job.user_id),
        account=parse.given(job.account or ""),
        qos=parse.given(job.qos or ""),
        partition=job.partition or "",
        state=job.state,
        reason=parse.given(job.state_reason or ""),
        comment=parse.given(job.comment or ""),
        name=parse.given(job.name),
        submit_at=_required(job.submit_time),
        eligible_at=_moment(job.eligible_time),
        start_at=_moment(job.start_time),
        time_limit_s=_seconds(job.time_limit),
        nodes=job.num_nodes or 0,
        gpus=_gpus(job.allocated_tres or job.requested_tres),
        restarts=job.requeue_count,
    )


def _array_tasks(job: Any) -> str:
    if not job.array_id:
        return ""
    if waiting := job.array_tasks_waiting:
        at_once = job.array_tasks_parallel
        return f"{waiting}%{at_once}" if at_once else str(waiting)
    return str(job.array_task_id or 0)  # pyslurm takes task 0 for none


def _gpus(tres: Any) -> dict[str, int]:
    if tres is None:
        return {}
    return parse.gpus(",".join(f"gres/{name}={one.count}" for name, one in tres.gres.items()))


def _arrays_apart(jobs: Iterable[Any]) -> set[int]:
    """Arrays of which tasks wait again, after a requeue or change, beside those not yet begun.

    squeue shows both as one, with the reasons of both, and pyslurm does not say all that this takes.
    """
    waiting = Counter(job.array_id for job in jobs if job.array_id and _is_pending(job))
    whole = {job.array_id for job in jobs if job.array_tasks_waiting}
    return {array_id for array_id, records in waiting.items() if records > 1 and array_id in whole}


def _is_pending(job: Any) -> bool:
    """Whatever else its state says: a job that is put back waits for its first run to be cleared away."""
    if job.state == "COMPLETING":
        return not job.run_time  # pyslurm gives none for what waits
    return job.state in {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}


def _node(node: Any) -> NodeInfo:
    return NodeInfo(
        name=node.name,
        state=node.state,
        reason=_reason(node),
        partitions=tuple(node.partitions),
        gpus=parse.gres(",".join(f"{name}:{count}" for name, count in node.configured_gres.items())),
        gpus_allocated=parse.gpus(",".join(f"{name}={count}" for name, count in node.allocated_tres.items())),
        cpus=node.effective_cpus or node.total_cpus or 0,
    )


def _reason(node: Any) -> str:
    """With who said it and when, as scontrol shows it: after its first line."""
    try:
        text = node.reason or ""
    except UnicodeDecodeError as error:
        text = bytes(error.object).decode(errors="replace")
    first, *more = [line for line in text.split("\n") if line] or [""]
    if first and (at := _moment(node.reason_time)):
        first += f" [{node.reason_user}@{at:%Y-%m-%dT%H:%M:%S}]"
    return f"{' ' * 8}".join([first, *more]).strip()


def _users() -> Callable[[int], str]:
    """Names of uids, each looked up once a read."""
    known: dict[int, str] = {}

    def name_of(uid: int) -> str:
        if uid not in known:
            try:
                known[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                known[uid] = str(uid)
        return known[uid]

    return name_of


def _seconds(minutes: Any) -> int | None:
    """None where there is no limit, which pyslurm gives as None or a word."""
    return minutes * 60 if isinstance(minutes, int) else None


def _count(number: Any) -> int:
    """0 where the site gives none, which pyslurm says as None or a word."""
    return number if isinstance(number, int) else 0


def _moment(timestamp: int | None) -> datetime | None:
    return datetime.fromtimestamp(timestamp, tz=UTC) if timestamp else None


def _required(timestamp: int | None) -> datetime:
    return parse.required(_moment(timestamp))
