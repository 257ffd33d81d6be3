"""What people ask for: submit a job, cancel a job. Each is one transaction in PostgreSQL and talks to no cluster.

The job row, its run with the hold in the ledger, and the outbox message that the cluster's worker acts on are written
together or not at all: no job without a hold, no hold without a job, and none of them forgotten.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from portal.clock import now
from portal.outbox.services import message_write
from portal.people.models import Project, User
from portal.people.selectors import projects_of
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.models import Allocation
from quotas.allocations.services import holds_take, holds_void
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name, cpu_qos
from scheduler.jobs.chaining import PLAIN, Chaining, array_verdict, chaining_problems, ties_set, ties_write
from scheduler.jobs.data_sets import NONE, Chosen, data_sets_choose, data_sets_write
from scheduler.jobs.durations import slurm_time
from scheduler.jobs.errors import JobEnded, JobRefused
from scheduler.jobs.library.selectors import preset_find
from scheduler.jobs.models import Job, Run
from scheduler.jobs.preflight import Problem, Shape, Verdict, placed, preflight
from scheduler.jobs.presets.definition import Preset
from scheduler.jobs.presets.render import Filled, Resources, head_render, restarts_of
from scheduler.jobs.presets.stored import filled_stored
from scheduler.jobs.script import NOTHING, Block, script_check, script_render
from scheduler.jobs.selectors import cluster_of, facts_get

SUBMIT_TOPIC = "jobs.submit"
NAME_LENGTH = 64
# Letters and digits of any script and a little punctuation: nothing that a shell, a path or a Slurm pattern reads.
_NAME = re.compile(r"[^\W_][\w .,+:@()-]*")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A job as it would be submitted: what the form's preview shows and what `job_submit` writes."""

    cluster: Cluster | None
    problems: tuple[Problem, ...]
    allocation: Allocation | None = None
    shape: Shape | None = None  # as it is on its partition
    verdict: Verdict | None = None
    rendered: str = ""  # "" while the script cannot be rendered; what is wrong in a preset's fields is left out of it
    data_sets: Chosen = NONE

    @property
    def gpu_type(self) -> str:
        """The type in which it is paid for."""
        return self.allocation.gpu_type if self.allocation else ""


def job_draft(
    *,
    person: User,
    project: Project | None,
    allocation: Allocation | None,
    name: str,
    gpus_per_node: int,
    nodes: int,
    time_limit_s: int,
    script: str,
    filled: Filled | None = None,
    partition: str = "",
    cpus_per_node: int = 0,
    reservation: str = "",
    chaining: Chaining = PLAIN,
    data_sets: Sequence[int] = (),
) -> Draft:
    """Everything that stands in the way of a job, without writing anything.

    `filled`: the preset, if the script has one, as it was filled in. `partition`: "" lets the portal choose.
    `data_sets` of the catalogue, by their numbers.
    """
    problems = [*_name_problems(name), *_script_problems(script)]
    cluster = cluster_of(allocation) if allocation else None
    problems += chaining_problems(chaining, project=project, cluster=cluster, time_limit_s=time_limit_s)
    if project is None or not projects_of(person).filter(pk=project.pk).exists():
        problems.append(Problem("project", "project", _("You cannot run jobs in this project.")))
    elif allocation is None or allocation.project_id != project.pk:
        problems.append(Problem("allocation", "allocation", _("Choose an allocation of this project.")))
    elif cluster is None:
        problems.append(Problem("cluster", "allocation", _("The cluster of this allocation takes no jobs now.")))
    if (
        project is None
        or cluster is None
        or allocation is None
        or any(p.field in ("project", "allocation") for p in problems)
    ):
        return Draft(cluster=cluster, problems=tuple(problems))
    shape = Shape(allocation.gpu_type, gpus_per_node, nodes, time_limit_s, cpus_per_node)
    facts = facts_get(person=person, allocation=allocation, cluster=cluster, moment=now(), reservation=reservation)
    verdict = preflight(shape, facts, partition)
    shape, place = placed(shape, facts, partition)
    if chaining.array and not any(problem.code == "array" for problem in problems) and chaining.tasks:
        tasks = len(chaining.tasks.tasks)
        verdict = array_verdict(
            verdict, tasks, gpus=shape.gpus, time_limit_s=time_limit_s, overshoot_s=cluster.overshoot_s
        )
    chosen = data_sets_choose(data_sets, person=person, project=project, cluster=cluster)
    head, unfit = NOTHING, list(chosen.problems)
    if filled and not shape.gpu_type:
        problems.append(
            Problem("preset", "partition", _("This preset is for GPUs: prepare data with your own script."))
        )
    elif filled:
        resources = Resources(place.cpus_per_gpu, place.memory_mb_per_gpu) if place and place.cpus_per_gpu else None
        head, wrong = head_render(filled, shape=shape, project=project.slug, resources=resources, mounts=chosen.paths)
        unfit += wrong
    head = replace(head, lines=(*chosen.lines, *head.lines))
    rendered = ""
    if not problems:
        block = _block(name, allocation, cluster, shape, verdict.partition, reservation)
        rendered = script_render(script, block, head)
    problems += [*unfit, *verdict.problems]
    return Draft(
        cluster=cluster,
        allocation=allocation,
        shape=shape,
        verdict=verdict,
        rendered=rendered,
        problems=tuple(problems),
        data_sets=chosen,
    )


def job_submit(
    *,
    person: User,
    project: Project,
    allocation: Allocation,
    name: str,
    gpus_per_node: int,
    nodes: int,
    time_limit_s: int,
    script: str = "",
    preset: str = "",
    filled: Filled | None = None,
    partition: str = "",
    cpus_per_node: int = 0,
    reservation: str = "",
    chaining: Chaining = PLAIN,
    data_sets: Sequence[int] = (),
    form_key: UUID | None = None,
    chosen: dict[str, Any] | None = None,
) -> Job:
    """Takes a job: row, hold and the order to submit it, in one transaction. The cluster's worker does the rest.

    `time_limit_s` is in seconds, whole minutes. `preset` is one with its defaults, `filled` one that was filled in; an
    empty script takes the preset's. `partition`: "" lets the portal choose; one of slices or without GPUs is chosen by
    name, and `cpus_per_node` counts on the latter. `reservation` is one of Slurm's. `chosen`: how the portal chose the
    allocation (`choosing.Choice.facts`), where it did. The same person's `form_key` with the same content is the same
    job, however often it is sent. Raises JobRefused with all problems; nothing is written.
    """
    if preset and filled is None:
        filled = Filled(preset_known(preset))
    script = script or (filled.preset.start if filled else "")
    name = unicodedata.normalize("NFC", name.strip())
    job = Job(
        project=project,
        allocation=allocation,
        person=person,
        unix_account=person.unix_account or "",
        name=name,
        preset=filled.preset.key if filled else "",
        filled=filled_stored(filled, partition, data_sets),
        chosen=chosen or {},
        script=script,
        gpu_type=allocation.gpu_type,
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        time_limit_s=time_limit_s,
        cpus_per_node=cpus_per_node,
        reservation=reservation,
    )
    job.form_key = _content_key(form_key, job, chaining) if form_key else None
    try:
        return _job_take(job, person, filled, partition, chaining, data_sets)
    except JobRefused:
        # Sent twice, and the first one took the balance that this one misses: it is that job.
        same = _job_same(job)
        if same is None:
            raise
        return same


def preset_known(slug: str) -> Preset:
    """Raises JobRefused."""
    preset = preset_find(slug)
    if preset is None:
        raise JobRefused([Problem("preset", "preset", _("There is no such preset."))])
    return preset


def _job_same(job: Job) -> Job | None:
    return Job.objects.filter(person=job.person, form_key=job.form_key).first() if job.form_key else None


def _job_take(
    job: Job,
    person: User,
    filled: Filled | None,
    partition: str,
    chaining: Chaining,
    data_sets: Sequence[int],
) -> Job:
    draft = job_draft(
        person=person,
        project=job.project,
        allocation=job.allocation,
        name=job.name,
        gpus_per_node=job.gpus_per_node,
        nodes=job.nodes,
        time_limit_s=job.time_limit_s,
        script=job.script,
        filled=filled,
        partition=partition,
        cpus_per_node=job.cpus_per_node,
        reservation=job.reservation,
        chaining=chaining,
        data_sets=data_sets,
    )
    if draft.problems or draft.verdict is None or draft.cluster is None or draft.shape is None:
        raise JobRefused(draft.problems)
    job.gpu_type, job.gpus_per_node = draft.shape.gpu_type, draft.shape.gpus_per_node
    job.cpus_per_node = draft.shape.cpus_per_node
    job.cluster, job.partition, job.script = draft.cluster, draft.verdict.partition, draft.rendered
    ties_set(job, chaining)
    job.restarts_most = max(job.restarts_most, restarts_of(filled))
    try:
        with transaction.atomic():
            _job_write(job, person, chaining, draft.data_sets, hold_gpu_seconds=draft.verdict.hold_gpu_seconds)
    except IntegrityError as error:
        same = _job_same(job)  # the unique form_key made us wait until the other's transaction was committed
        if same is None:
            raise error
        return same
    except BalanceTooSmall as error:  # others were quicker than the balance that the preflight saw
        raise JobRefused(_too_late_problems(job, person, error)) from error
    except AllocationNotOpen as error:
        raise JobRefused([Problem("allocation", "allocation", str(error))]) from error
    return job


def job_cancel(*, job_id: UUID, person: User | None, reason: str = "") -> Job:
    """Cancels a job that Slurm has not been asked for yet; asks the cluster's worker to cancel any other.

    Asking twice is asking once. Without a person it is the centre, for a reason (portal_reason). Raises JobEnded.
    """
    moment = now()
    with transaction.atomic():
        # Whoever binds or attempts the job meanwhile waits for this row, or we for them.
        job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
        if not job.is_open:
            raise JobEnded
        if job.cancel_requested_at is not None:
            return job
        job.cancel_requested_at, job.cancel_requested_by, job.updated_at = moment, person, moment
        job.reason = reason or job.reason
        if job.state == Job.State.QUEUED:
            job.state, job.reason = Job.State.CANCELLED, reason
            why = f"job {job.pk} cancelled before it was submitted"
            runs_void(job.runs.all(), reason=why, actor=person or "centre")
        job.save(update_fields=["state", "reason", "cancel_requested_at", "cancel_requested_by", "updated_at"])
        if job.slurm_job_id is not None:
            cancel_order(job)
    return job


def cancel_order(job: Job) -> None:
    """Asks the cluster's worker to cancel a bound job, in the caller's transaction. Unbound: whoever binds it asks."""
    message_write(
        topic="jobs.cancel",
        key=f"{job.pk}:{job.slurm_job_id}",
        payload={"job": str(job.pk)},
        queue=f"cluster.{job.cluster.name}",
    )


def submit_order(job: Job, *, due_at: datetime | None = None) -> None:
    """Asks the cluster's worker for the job's next attempt, in the caller's transaction. One message an attempt."""
    message_write(
        topic=SUBMIT_TOPIC,
        key=f"{job.pk}:{job.attempts + 1}",
        payload={"job": str(job.pk), "attempt": job.attempts + 1, "account": job.unix_account},
        queue=f"cluster.{job.cluster.name}",
        due_at=due_at,
    )


def runs_void(runs: QuerySet[Run], *, reason: str, actor: User | str, state: str = Job.State.CANCELLED) -> None:
    """Gives back the holds of runs that will never happen, in the caller's transaction."""
    moment = now()
    holds = runs.filter(hold__isnull=False, hold_resolved=False).values_list("hold", flat=True)
    holds_void(hold_ids=set(filter(None, holds)), event_at=moment, reason=reason, actor=actor)
    runs.filter(ended_at__isnull=True).update(hold_resolved=True, state=state, ended_at=moment)


def _job_write(job: Job, person: User, chaining: Chaining, chosen: Chosen, *, hold_gpu_seconds: int) -> None:
    """`hold_gpu_seconds` of the whole job: of an array's tasks, each has its own run and its own part."""
    moment = now()
    job.created_at = job.updated_at = moment
    job.save(force_insert=True)
    ties_write(job, chaining)
    data_sets_write(job, chosen)
    tasks: Sequence[int | None] = chaining.tasks.tasks if chaining.tasks else [None]
    holds = {uuid4(): task for task in tasks}
    each_gpu_seconds = hold_gpu_seconds // len(holds)
    Run.objects.bulk_create(
        Run(
            job=job,
            cluster=job.cluster,
            array_task=task,
            gpus=job.gpus,
            hold=hold if each_gpu_seconds else None,
            held_gpu_seconds=each_gpu_seconds,
            created_at=moment,
        )
        for hold, task in holds.items()
    )
    submit_order(job)
    if not each_gpu_seconds:
        return  # no GPUs: nothing to pay for
    # Last, because it locks the allocation's balance: others wait for that only until the commit that follows.
    holds_take(
        allocation_id=job.allocation_id,
        amounts_gpu_seconds=dict.fromkeys(holds, each_gpu_seconds),
        event_at=moment,
        reason=f"job {job.pk}",
        actor=person,
    )


def _content_key(form_key: UUID, job: Job, chaining: Chaining) -> UUID:
    """The form's key and what was in it: the same form sent twice is one job, an edited one is another."""
    # Sent again the portal might choose another allocation: it is the same job all the same.
    where = job.chosen.get("asked", job.allocation_id)
    content = [where, job.name, job.nodes, job.gpus_per_node, job.time_limit_s, job.preset, job.script, job.filled]
    if job.cpus_per_node or job.reservation:
        content += [job.cpus_per_node, job.reservation]
    if chaining != PLAIN:
        content.append(repr(chaining))
    return uuid5(form_key, json.dumps(content, sort_keys=True))


def _too_late_problems(job: Job, person: User, error: BalanceTooSmall) -> list[Problem]:
    shape = Shape(job.gpu_type, job.gpus_per_node, job.nodes, job.time_limit_s)
    facts = facts_get(person=person, allocation=job.allocation, cluster=job.cluster, moment=now())
    # The balance may have grown again in between; it was too small when it counted.
    return list(preflight(shape, facts, job.partition).problems) or [Problem("balance", "allocation", str(error))]


def _name_problems(name: str) -> list[Problem]:
    if not name:
        return [Problem("name", "name", _("Give the job a name."))]
    if len(name) > NAME_LENGTH:
        return [Problem("name", "name", _("At most 64 characters."))]
    if not _NAME.fullmatch(name) or not name.isprintable():
        return [
            Problem(
                "name",
                "name",
                _("A name begins with a letter or digit and has only letters, digits, spaces and . , + : @ ( ) _ -"),
            )
        ]
    return []


def _script_problems(script: str) -> list[Problem]:
    return [Problem(problem.code, "script", str(problem)) for problem in script_check(script)]


def _block(
    name: str, allocation: Allocation, cluster: Cluster, shape: Shape, partition: str, reservation: str
) -> Block:
    return Block(
        job_name=name,
        account=account_name(cluster, allocation.project.slug),
        qos=allocation.qos if shape.gpu_type else cpu_qos(cluster),
        partition=partition,
        nodes=shape.nodes,
        gpu_type=shape.gpu_type,
        gpus_per_node=shape.gpus_per_node,
        time_limit=slurm_time(shape.time_limit_s),
        cpus_per_node=shape.cpus_per_node,
        reservation=reservation,
    )
