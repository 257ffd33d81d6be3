"""Reading jobs. What takes a person returns only what that person may see; what it does not return is a 404."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Prefetch, Q, QuerySet
from django.shortcuts import get_object_or_404

from portal.clock import centre_date, now
from portal.people.models import Project, ProjectMembership, User
from portal.people.rules import Person, is_operator, reads_everything
from portal.people.selectors import organisations_managed, projects_of, projects_visible
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import (
    AllocationRow,
    allocations_visible,
    free_gpu_seconds,
    usable_allocations,
)
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Order, Run, SlurmHold
from scheduler.jobs.places import seen_of, special_get
from scheduler.jobs.preflight import Facts
from scheduler.jobs.states import portal_reason


def jobs_visible(person: Person) -> QuerySet[Job]:
    """Jobs of the person's projects, of managed organisations; all for operators, approvers and auditors."""
    jobs = _jobs_shown()
    return jobs if reads_everything(person) else jobs.filter(project__in=projects_visible(person))


def _jobs_shown() -> QuerySet[Job]:
    related = ("project__organisation", "allocation", "cluster", "person")
    return Job.objects.select_related(*related).defer("script", "filled", "chosen")


def job_list(person: Person, *, state: str = "", project: str = "", mine: bool = False) -> QuerySet[Job]:
    """Newest first. `state` is a Job.State, "open" or "ended"; `project` a slug. Unknown words find nothing.

    Which projects is asked first: with their numbers PostgreSQL reads one index in order, with a subquery it would sort
    all jobs of the projects for every page.
    """
    jobs = _jobs_shown()
    if project or not reads_everything(person):
        projects = projects_visible(person)
        if project:
            projects = projects.filter(slug=project)
        jobs = jobs.filter(project__in=list(projects.order_by().values_list("pk", flat=True)))
    if state == "open":
        jobs = jobs.filter(state__in=Job.OPEN_STATES)
    elif state == "ended":
        jobs = jobs.exclude(state__in=Job.OPEN_STATES)
    elif state:
        jobs = jobs.filter(state=state)
    if mine:
        jobs = jobs.filter(person=person) if isinstance(person, User) else jobs.none()
    return jobs


def job_get(person: Person, pk: UUID) -> Job:
    """With its script and runs. Raises Http404 where the person may not see it."""
    runs = Prefetch("runs", queryset=Run.objects.order_by("id"))
    return get_object_or_404(jobs_visible(person).defer(None).prefetch_related(runs), pk=pk)


def job_row_get(person: Person, pk: UUID) -> Job:
    """Without its script and runs. Raises Http404 where the person may not see it."""
    return get_object_or_404(jobs_visible(person), pk=pk)


def may_cancel(person: Person, job: Job) -> bool:
    """Its owner, principal investigators of its project, managers of its organisation, operators."""
    if not isinstance(person, User) or not person.is_active:
        return False
    return (
        job.person_id == person.pk
        or is_operator(person)
        or job.project.memberships.filter(user=person, role="pi").exists()
        or organisations_managed(person).filter(pk=job.project.organisation_id).exists()
    )


def job_get_cancellable(person: Person, pk: UUID) -> Job:
    """For cancelling. Raises Http404 for those who may not, an auditor among them."""
    allowed = Q(person=person.pk) | Q(project__memberships__user=person.pk, project__memberships__role="pi")
    jobs = jobs_visible(person)
    if not is_operator(person):
        jobs = jobs.filter(allowed | Q(project__organisation__in=organisations_managed(person))).distinct()
    return get_object_or_404(jobs, pk=pk)


def job_get_readable(person: Person, pk: UUID) -> Job:
    """For what the job wrote: its log and files are the researcher's own, so not for all who may see that it ran.

    Those who may cancel it: its owner, principal investigators of its project, managers of its organisation, operators.
    Raises Http404 for all others.
    """
    return job_get_cancellable(person, pk)


def slurm_holds(person: Person) -> QuerySet[SlurmHold]:
    """Jobs that Slurm by itself, or an administrator, holds, the longest first: for those who read everything."""
    found = SlurmHold.objects.filter(job__state__in=Job.OPEN_STATES, job__cancel_requested_at=None)
    found = found.select_related("job__project", "job__person", "job__cluster").defer("job__script", "job__filled")
    return found if reads_everything(person) else found.none()


RUNAWAY_SHOWN_AFTER = timedelta(minutes=2)  # at its end a job is one for a moment


def runaways(person: Person) -> QuerySet[Job]:
    """Jobs that run for slurmdbd and that slurmctld does not know any more, the longest first: an operator closes their
    records. For those who read everything."""
    found = Job.objects.filter(state=Job.State.UNKNOWN, reason=portal_reason("runaway"))
    found = found.filter(updated_at__lt=now() - RUNAWAY_SHOWN_AFTER).order_by("updated_at")
    found = found.select_related("project", "person", "cluster").defer("script", "filled")
    return found if reads_everything(person) else found.none()


# --- an array's tasks ---------------------------------------------------------------------------------------------


def tasks_of(job: Job, *, state: str = "") -> QuerySet[Run]:
    """The last run of each task, by task."""
    last = Run.objects.filter(job=job, array_task__isnull=False).order_by("array_task", "-pk").distinct("array_task")
    runs = Run.objects.filter(pk__in=last.values("pk")).order_by("array_task")
    return runs.filter(state=state) if state else runs


def task_counts(job: Job) -> list[tuple[str, int]]:
    """How many tasks are in which state, in the order of the states."""
    counts = dict(tasks_of(job).order_by("state").values_list("state").annotate(tasks=Count("pk")))
    return [(state, counts[state]) for state in Job.State.values if state in counts]


def tasks_under_way(job: Job) -> set[int]:
    """Tasks whose cancellation is on its way to Slurm."""
    asked = Order.objects.filter(job=job, state=Order.State.ASKED, task__isnull=False)
    return {task for task in asked.values_list("task", flat=True) if task is not None}


# --- for the form -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProjectChoice:
    project: Project
    allocations: list[AllocationRow]


def submission_choices(person: Person) -> list[ProjectChoice]:
    """The person's projects, each with the allocations on which a job can be submitted today, and their balances."""
    projects = projects_of(person).order_by("title", "id")
    return [ProjectChoice(project, usable_allocations(person, project)) for project in projects]


# What a submission needs of its allocation: whole rows of all these tables would cost as much as all that it writes.
_ASKED = (
    *("cluster", "gpu_type", "qos", "state", "starts_on", "ends_on", "account"),
    *("project__slug", "project__title", "project__is_active", "project__organisation"),
    "voucher__programme__is_sandbox",
)


def allocation_chosen(person: User, pk: int) -> Allocation | None:
    """An allocation that the person may see, in whatever state: what stands in the way of using it is said later."""
    rows = Allocation.objects.select_related("project", "voucher__programme").only(*_ASKED)
    # Nearly always one of the person's own projects; the other ways to see one cost far more to ask.
    own = rows.filter(pk=pk, project__in=ProjectMembership.objects.filter(user=person).values("project")).first()
    return own or allocations_visible(person).filter(pk=pk).first()


def cluster_of(allocation: Allocation) -> Cluster | None:
    """The one that takes new jobs; None where it is retired or unknown."""
    return Cluster.objects.filter(name=allocation.cluster, is_active=True, retired_at=None).first()


def facts_get(
    *, person: User, allocation: Allocation, cluster: Cluster, moment: datetime, reservation: str = ""
) -> Facts:
    """What the preflight needs to know: balance, partitions as last read, the person's unix account."""
    name = person.unix_account or ""
    seen = seen_of(cluster, name)
    return Facts(
        today=centre_date(moment),
        allocation_state=allocation.state,
        starts_on=allocation.starts_on,
        ends_on=allocation.ends_on,
        free_gpu_seconds=free_gpu_seconds(allocation),
        overshoot_s=cluster.overshoot_s,
        cluster_title=cluster.title,
        partitions=seen.usable(allocation.gpu_type),
        unix_account=name,
        unix_account_exists=seen.unix_account_exists,
        special=special_get(
            person=person,
            allocation=allocation,
            cluster=cluster,
            rules=seen.rules,
            moment=moment,
            reservation=reservation,
        ),
    )


# --- for fragments ------------------------------------------------------------------------------------------------


def jobs_recent(person: Person, *, project: Project | None = None, limit: int = 5) -> Sequence[Job]:
    """For a card: of a project, or the person's own; open ones first, then the newest."""
    only = Q(project=project) if project is not None else Q(person=person.pk)
    jobs = jobs_visible(person).filter(only)
    found = list(jobs.filter(state__in=Job.OPEN_STATES)[:limit])
    # Each in the order of an index; sorted together, all jobs of the project would be read for these few.
    return found + list(jobs.exclude(state__in=Job.OPEN_STATES)[: limit - len(found)])
