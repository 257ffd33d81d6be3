"""Jobs as the API answers them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from portal.api.errors import Error
from scheduler.jobs.models import Job, Run
from scheduler.jobs.orders.verbs import possible
from scheduler.jobs.orders.words import order_words
from scheduler.jobs.reasons import reason_of
from scheduler.jobs.timeline import charge_of


@dataclass(frozen=True)
class JobRow:
    """A job, as a list shows it. Sizes and time limit are those of one task where it is an array."""

    id: UUID
    name: str
    state: str
    state_text: str
    reason: Annotated[str, "Slurm's word, or the portal's."]
    reason_text: Annotated[str, "The same in plain words, in the person's language."]
    is_open: Annotated[bool, "Whether anything can still happen to it."]
    origin: str
    cluster: str
    partition: str
    project: str
    allocation: int
    person: str | None
    preset: str
    gpu_type: str
    nodes: int
    gpus_per_node: int
    time_limit_s: int
    array: str
    slurm_job_id: int | None
    created_at: datetime
    updated_at: datetime
    page: Annotated[str, "Of the portal, for people."]


@dataclass(frozen=True)
class RunShape:
    """One execution. A requeue makes another one, and each task of an array has its own."""

    slurm_job_id: int | None
    task: int | None
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    gpus: int
    held_gpu_seconds: int
    charged_gpu_seconds: int | None


@dataclass(frozen=True)
class ChargeShape:
    """In GPU-seconds. What runs now is charged when it ends; until then it is held."""

    held: int
    charged: int
    overrun: int
    running: int


@dataclass(frozen=True)
class JobWhole(JobRow):
    """A job with its script, runs and charge."""

    script: str
    runs: Annotated[tuple[RunShape, ...], "At most the last 1,000."]
    charge: ChargeShape
    possible: Annotated[tuple[str, ...], "What can be asked of it now."]
    order: Annotated[str | None, "What was asked last and what came of it, in words."]


@dataclass(frozen=True)
class Estimate:
    """What a job would be, without writing anything. Amounts are GPU-seconds; null where that cannot be said yet."""

    fits: bool
    errors: Annotated[tuple[Error, ...], "The very ones with which submitting it would be refused."]
    cluster: str | None
    partition: str | None
    gpu_type: str | None
    cost_gpu_seconds: Annotated[int | None, "If it runs its whole time limit."]
    hold_gpu_seconds: Annotated[int | None, "Reserved until it has ended."]
    free_gpu_seconds: int | None
    free_after_gpu_seconds: int | None
    longest_time_limit_s: Annotated[int | None, "The longest that fits this size; 0 where none does."]
    worth_vnd: Annotated[int | None, "The cost at today's tariff."]
    script: Annotated[str, "As it would be submitted; empty while it cannot be written."]


RUNS_MOST = 1_000


def row_of(job: Job) -> JobRow:
    return JobRow(**_columns(job))


def whole_of(job: Job, *, may_act: bool) -> JobWhole:
    """`job` with its script and runs. `may_act`: whether the person may ask anything of it."""
    runs = list(job.runs.all())
    now_possible = possible(job) if may_act else None
    verbs = sorted(now_possible.verbs) if now_possible else []
    last = job.orders.select_related("person").first()
    charge = charge_of(job)
    return JobWhole(
        **_columns(job),
        script=job.script,
        runs=tuple(map(run_shape, runs[-RUNS_MOST:])),
        charge=ChargeShape(charge.held, charge.charged, charge.overrun, charge.running),
        possible=(*(["cancel"] if may_act and job.is_open else []), *verbs),
        order=order_words(last) if last else None,
    )


def rows_of(jobs: Iterable[Job]) -> list[JobRow]:
    return [row_of(job) for job in jobs]


def _columns(job: Job) -> dict[str, Any]:
    why = reason_of(job)
    return {
        "id": job.pk,
        "name": job.name,
        "state": job.state,
        "state_text": job.get_state_display(),
        "reason": job.reason,
        "reason_text": f"{why.text} {why.todo}".strip() if why else "",
        "is_open": job.is_open,
        "origin": job.origin,
        "cluster": job.cluster.name,
        "partition": job.partition,
        "project": job.project.slug,
        "allocation": job.allocation_id,
        "person": str(job.person) if job.person else None,
        "preset": job.preset,
        "gpu_type": job.gpu_type,
        "nodes": job.nodes,
        "gpus_per_node": job.gpus_per_node,
        "time_limit_s": job.time_limit_s,
        "array": job.array,
        "slurm_job_id": job.slurm_job_id,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "page": settings.SITE_URL.rstrip("/") + reverse("jobs:job", args=[job.pk]),
    }


def run_shape(run: Run) -> RunShape:
    return RunShape(
        slurm_job_id=run.job_id_raw,
        task=run.array_task,
        state=run.state,
        started_at=run.started_at,
        ended_at=run.ended_at,
        gpus=run.gpus,
        held_gpu_seconds=run.held_gpu_seconds,
        charged_gpu_seconds=run.charged_gpu_seconds,
    )
