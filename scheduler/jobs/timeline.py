"""A job's course and its cost, as its page shows them. Reads only."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from portal.clock import now
from scheduler.jobs.models import Job, Run


@dataclass(frozen=True)
class Step:
    state: str
    at: datetime
    text: str = ""


@dataclass(frozen=True)
class ChargeShown:
    """GPU-seconds. `running` is what the runs under way have used up to now; it is charged when they end."""

    held: int
    charged: int
    overrun: int
    running: int

    @property
    def used(self) -> int:
        return self.charged + self.running


def timeline_of(job: Job) -> list[Step]:
    """The job's states one after another, from the history that the database keeps of its row."""
    steps: list[Step] = []
    events = job.events.order_by("pgh_id").values_list("state", "updated_at", "slurm_job_id")  # type: ignore[attr-defined]
    for state, at, number in events:
        if steps and steps[-1].state == state:
            continue
        text = _("as job %(number)d of %(cluster)s") % {"number": number, "cluster": job.cluster} if number else ""
        seen = any(step.text == text for step in steps)
        steps.append(Step(state, at, "" if seen else text))
    if job.cancel_requested_at is not None:
        who = str(job.cancel_requested_by) if job.cancel_requested_by else _("the centre")
        asked = Step("", job.cancel_requested_at, _("Cancellation asked for by %(person)s") % {"person": who})
        steps.append(asked)
        steps.sort(key=lambda step: step.at)
    return steps


def charge_of(job: Job) -> ChargeShown:
    runs = list(job.runs.all())
    return ChargeShown(
        held=sum(run.held_gpu_seconds for run in runs if run.hold and not run.hold_resolved),
        charged=sum(run.charged_gpu_seconds or 0 for run in runs),
        overrun=sum(run.overrun_gpu_seconds for run in runs),
        running=sum(_used(run) for run in runs),
    )


def _used(run: Run) -> int:
    if run.started_at is None or run.ended_at is not None or run.state != Job.State.RUNNING:
        return 0
    return run.gpus * max(int((now() - run.started_at).total_seconds()), 0)
