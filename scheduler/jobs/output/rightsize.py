"""A job that ended, with the size that would have been enough: what the next one like it may begin with.

Only what was measured is proposed. A time limit follows from what the longest run took; nodes from where the job's
steps ran, because on a node without a step no process of the job can have used a GPU. How busy the GPUs of a node were
Slurm does not know, and memory and CPUs follow from the GPUs: neither is proposed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from scheduler.jobs.durations import duration_input, duration_text
from scheduler.jobs.models import Job
from scheduler.jobs.output.efficiency import ROUND_UP_S, SHORT_S, SPARE, Used, limit_enough_s

AFTER_TIMEOUT = 2  # times the limit that was too short: how much more is needed nobody knows
NEARLY = 0.9  # of the limit: a little more data, and the next one is ended by it


@dataclass(frozen=True)
class Change:
    """One field of the form: `value` as it is filled in, the two texts as they are shown."""

    field: str
    label: str
    value: str
    before: str
    after: str
    why: str


def right_sized(job: Job, used: Used, measured: Sequence[dict[str, Any]]) -> tuple[Change, ...]:
    """Empty where it was about right, or where its end says nothing about its size. `measured` as in efficiency_of."""
    return (*_nodes(job, measured), *_time(job, used))


def _time(job: Job, used: Used) -> Iterator[Change]:
    if job.restarts_most or not used.elapsed_s:
        return  # each run of a chain is meant to reach its limit
    limit_s, enough_s = used.time_limit_s, limit_enough_s(used)
    if job.state == Job.State.TIMEOUT:
        why = _("Its time limit ended it. How much more it needs nobody knows: this is twice as much.")
        yield _limit(limit_s, AFTER_TIMEOUT * limit_s, why)
    elif job.state == Job.State.COMPLETED and limit_s - enough_s >= SHORT_S:
        why = _("It took %(time)s. This is a quarter more, in steps of %(step)s; a shorter limit often starts sooner.")
        figures = {"time": duration_text(used.elapsed_s), "step": duration_text(ROUND_UP_S)}
        yield _limit(limit_s, enough_s, why % figures)
    elif job.state == Job.State.COMPLETED and used.elapsed_s > NEARLY * limit_s and enough_s > limit_s:
        why = _("It took %(time)s, nearly all of its limit. This is a quarter more.")
        yield _limit(limit_s, enough_s, why % {"time": duration_text(used.elapsed_s)})


assert SPARE == 1.25, "the sentences say a quarter"


def _limit(before_s: int, after_s: int, why: str) -> Change:
    before, after = duration_text(before_s), duration_text(after_s)
    return Change("time_limit", _("Time limit"), duration_input(after_s), before, after, why)


def _nodes(job: Job, measured: Sequence[dict[str, Any]]) -> Iterator[Change]:
    # One that failed may not have come to where it uses them all.
    if job.state != Job.State.COMPLETED or job.nodes < 2 or not measured:
        return
    used = [row.get("nodes_used") for row in measured]
    if not all(used):
        return
    most = max(number for number in used if number)
    if most >= job.nodes:
        return
    idle = (job.nodes - most) * job.gpus_per_node
    why = ngettext(
        "Its commands ran on %(used)d of its %(nodes)d nodes: the %(idle)d GPU of the others was idle all the time.",
        "Its commands ran on %(used)d of its %(nodes)d nodes: the %(idle)d GPUs of the others were idle all the time.",
        idle,
    ) % {"used": most, "nodes": job.nodes, "idle": idle}
    yield Change("nodes", pgettext("how many", "Nodes"), str(most), str(job.nodes), str(most), why)
