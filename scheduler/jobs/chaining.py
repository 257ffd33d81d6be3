"""What a job is tied to: the tasks of an array, the jobs it waits for, the runs that continue it.

`Chaining` is what the form reads (`chaining_form.py`) and `job_submit` takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from portal.people.models import Project
from quotas.units import gpu_hours_text
from scheduler.clusters.models import Cluster
from scheduler.jobs.arrays import Array, ArrayInvalid, array_parse
from scheduler.jobs.durations import MINUTE_S, duration_input, duration_text
from scheduler.jobs.models import Dependency, Job
from scheduler.jobs.preflight import Fix, Problem, Verdict, hold_gpu_seconds, longest_time_limit_s

MOST_DEPENDENCIES = 20
MOST_RESTARTS = 100
LEAST_LEAD_S, MOST_LEAD_S = 60, 65_535  # Slurm looks at its signals every half minute, and keeps the lead in 16 bits


@dataclass(frozen=True, kw_only=True)
class After:
    job: UUID
    kind: str = Dependency.Kind.AFTER_OK


@dataclass(frozen=True, kw_only=True)
class Chaining:
    """`array` as written; `restarts` is how often the job may continue after its limit, 0: never."""

    array: str = ""
    after: tuple[After, ...] = ()
    keeps_unsatisfied: bool = False
    restarts: int = 0
    checkpoint_lead_s: int = 0

    @cached_property
    def tasks(self) -> Array | None:
        """None for a plain job. Raises ArrayInvalid."""
        return array_parse(self.array) if self.array else None


PLAIN = Chaining()


def chaining_problems(
    chaining: Chaining, *, project: Project | None, cluster: Cluster | None, time_limit_s: int
) -> Iterator[Problem]:
    """Whatever is wrong with it, beside the form's fields."""
    try:
        array = chaining.tasks
    except ArrayInvalid as error:
        array = None
        yield Problem("array", "array", str(error))
    if len(str(array or "")) > Job._meta.get_field("array").max_length:  # type: ignore[operator]
        yield Problem("array", "array", _("That many single numbers do not fit: write ranges."))
    if chaining.after:
        yield from _after_problems(chaining, project, cluster)
    yield from _restart_problems(chaining, time_limit_s)


def _after_problems(chaining: Chaining, project: Project | None, cluster: Cluster | None) -> Iterator[Problem]:
    if len(chaining.after) > MOST_DEPENDENCIES:
        text = _("A job waits for at most %(most)d others.")
        yield Problem("dependency", "after", text, (("most", MOST_DEPENDENCIES),))
        return
    wanted = {after.job for after in chaining.after}
    known = Job.objects.filter(pk__in=wanted, project=project, origin=Job.Origin.PORTAL)
    places = dict(known.values_list("pk", "cluster_id"))
    if wanted - set(places) or {after.kind for after in chaining.after} - set(Dependency.Kind.values):
        yield Problem("dependency", "after", _("Choose jobs of the same project."))
    elif cluster is not None and set(places.values()) - {cluster.pk}:
        yield Problem("dependency", "after", _("A job can only wait for jobs on its own cluster."))


def _restart_problems(chaining: Chaining, time_limit_s: int) -> Iterator[Problem]:
    if not chaining.restarts and not chaining.checkpoint_lead_s:
        return
    if chaining.array:
        yield Problem("restarts", "restarts", _("The tasks of an array do not continue after their limit."))
    elif not 0 <= chaining.restarts <= MOST_RESTARTS:
        yield Problem("restarts", "restarts", _("At most %(most)d times."), (("most", MOST_RESTARTS),))
    elif not LEAST_LEAD_S <= chaining.checkpoint_lead_s <= MOST_LEAD_S:
        text = _("The job needs between %(least)s and %(most)s to save its state.")
        figures = (("least", duration_text(LEAST_LEAD_S)), ("most", duration_text(MOST_LEAD_S // MINUTE_S * MINUTE_S)))
        yield Problem("checkpoint", "checkpoint_lead", text, figures)
    elif 2 * chaining.checkpoint_lead_s > time_limit_s:
        text = _("That is more than half of the time limit: little would be left to compute.")
        yield Problem("checkpoint", "checkpoint_lead", text)


def array_verdict(verdict: Verdict, tasks: int, *, gpus: int, time_limit_s: int, overshoot_s: int) -> Verdict:
    """What one task's verdict becomes for all of them: each has its own hold, taken together or not at all."""
    whole = replace(
        verdict, cost_gpu_seconds=verdict.cost_gpu_seconds * tasks, hold_gpu_seconds=verdict.hold_gpu_seconds * tasks
    )
    if verdict.problems or whole.free_after_gpu_seconds >= 0:
        return whole
    free = max(verdict.free_gpu_seconds, 0)
    longest = longest_time_limit_s(
        gpus=gpus * tasks, free_gpu_seconds=free, overshoot_s=overshoot_s, max_time_s=verdict.longest_s
    )
    one = hold_gpu_seconds(gpus=gpus, time_limit_s=time_limit_s, overshoot_s=overshoot_s)
    figures = {
        "tasks": tasks,
        "needed": gpu_hours_text(whole.hold_gpu_seconds, up=True),
        "free": gpu_hours_text(free),
        "fit": free // one if one else 0,
    }
    text = _(
        "All %(tasks)d tasks together reserve %(needed)s GPU-hours and the allocation has %(free)s left: %(fit)d tasks "
        "of this size fit."
    )
    fixes = []
    if longest:
        label = _("Set the time limit to %(time)s") % {"time": duration_text(longest)}
        fixes.append(Fix("time_limit", duration_input(longest), str(label)))
    problem = Problem("balance", "array", text, tuple(figures.items()), tuple(fixes))
    return replace(whole, longest_s=longest, problems=(problem,))


def ties_write(job: Job, chaining: Chaining) -> None:
    """The rows that say what the job waits for, in the caller's transaction."""
    Dependency.objects.bulk_create([Dependency(job=job, on_id=after.job, kind=after.kind) for after in chaining.after])


def ties_set(job: Job, chaining: Chaining) -> None:
    """The job's own columns. Raises ArrayInvalid."""
    job.array = str(chaining.tasks or "")
    job.restarts_most, job.checkpoint_lead_s = chaining.restarts, chaining.checkpoint_lead_s
    job.keeps_unsatisfied = chaining.keeps_unsatisfied
