"""A job's course and its cost, as its page shows them. Reads only."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _

from portal.clock import now
from scheduler.clusters.slices import slices_read
from scheduler.jobs.models import Job, Run

ENDED_IN_SLURM = frozenset(
    [Job.State.COMPLETED, Job.State.FAILED, Job.State.TIMEOUT, Job.State.CANCELLED, Job.State.NODE_FAIL]
)


@dataclass(frozen=True)
class Step:
    state: str
    at: datetime
    text: str = ""
    lasted_s: int | None = None  # until the next state, or up to now; None for what has no length


@dataclass(frozen=True)
class ChargeShown:
    """GPU-seconds. `running` is what the runs under way have used up to now; it is charged when they end."""

    held: int
    charged: int
    overrun: int
    running: int
    elapsed_s: int  # of the run under way; 0 where none is

    @property
    def bound(self) -> int:
        """What it may cost at most: what is held, or what was used where that is more."""
        return max(self.held, self.running)

    @property
    def used(self) -> int:
        return self.charged + self.running


def timeline_of(job: Job) -> list[Step]:
    """The job's states one after another, with how long each lasted.

    From the history that the database keeps of its row. Start and end are Slurm's own times where they are known: the
    portal sees them up to a cycle later, and a short job not at all while it runs.
    """
    steps = _as_it_went(_seen(job), list(job.runs.all()), is_open=job.is_open)
    if job.cancel_requested_at is not None:
        who = str(job.cancel_requested_by) if job.cancel_requested_by else _("the centre")
        asked = Step("", job.cancel_requested_at, _("Cancellation asked for by %(person)s") % {"person": who})
        steps = sorted([*steps, asked], key=lambda step: step.at)
    return _with_lengths(steps, now() if job.is_open else None)


def _seen(job: Job) -> list[Step]:
    steps: list[Step] = []
    events = job.events.order_by("pgh_id").values_list("state", "updated_at", "slurm_job_id")  # type: ignore[attr-defined]
    for state, at, number in events:
        if steps and steps[-1].state == state:
            continue
        text = _("as job %(number)d of %(cluster)s") % {"number": number, "cluster": job.cluster} if number else ""
        seen = any(step.text == text for step in steps)
        steps.append(Step(state, at, "" if seen else text))
    return steps


def _as_it_went(steps: list[Step], runs: list[Run], *, is_open: bool) -> list[Step]:
    """With the start of every run, and the end, at Slurm's times. An array's many tasks run side by side: as seen."""
    if any(run.array_task is not None for run in runs):
        return steps
    for run in runs:
        steps = _with_run(steps, run.started_at, run.ended_at) if run.started_at else steps
    ends = [run.ended_at for run in runs if run.ended_at is not None]
    if ends and not is_open and steps[-1].state in ENDED_IN_SLURM:
        steps = [*steps[:-1], replace(steps[-1], at=min(max(ends), steps[-1].at))]
    ordered: list[Step] = []
    for step in steps:
        if ordered and ordered[-1].state == step.state:
            continue
        # Clocks of several hosts: no state begins before the one that it followed.
        ordered.append(replace(step, at=max(step.at, ordered[-1].at)) if ordered else step)
    return ordered


def _with_run(steps: list[Step], started_at: datetime, ended_at: datetime | None) -> list[Step]:
    for number, step in enumerate(steps):
        if step.state == Job.State.RUNNING and started_at <= step.at and (ended_at is None or step.at <= ended_at):
            return [*steps[:number], replace(step, at=started_at), *steps[number + 1 :]]
    if ended_at is None:
        return steps  # the next cycle sees it
    place = next((number for number, step in enumerate(steps) if step.at >= ended_at), len(steps))
    return [*steps[:place], Step(Job.State.RUNNING, started_at), *steps[place:]]


def _with_lengths(steps: list[Step], until: datetime | None) -> list[Step]:
    lengths: list[Step] = []
    for number, step in enumerate(steps):
        following = next((later.at for later in steps[number + 1 :] if later.state), until)
        lasted = int((following - step.at).total_seconds()) if step.state and following else None
        lengths.append(replace(step, lasted_s=lasted))
    return lengths


def charge_of(job: Job) -> ChargeShown:
    runs = list(job.runs.all())
    slices = slices_read()
    return ChargeShown(
        held=sum(run.held_gpu_seconds for run in runs if run.hold and not run.hold_resolved),
        charged=sum(run.charged_gpu_seconds or 0 for run in runs),
        overrun=sum(run.overrun_gpu_seconds for run in runs),
        running=sum(slices.charged(job.gpu_type, run.gpus * _elapsed_s(run)) for run in runs),
        elapsed_s=max((_elapsed_s(run) for run in runs), default=0),
    )


def _elapsed_s(run: Run) -> int:
    if run.started_at is None or run.ended_at is not None or run.state != Job.State.RUNNING:
        return 0
    return max(int((now() - run.started_at).total_seconds()), 0)
