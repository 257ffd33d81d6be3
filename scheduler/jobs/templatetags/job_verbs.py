"""`{% load job_verbs %}`: {% verbs_of job as can %} says what may be asked of a job now and what was asked last."""

from dataclasses import dataclass

from django import template

from scheduler.jobs.models import Dependency, Job, Order, SlurmHold
from scheduler.jobs.orders.verbs import possible
from scheduler.jobs.orders.words import order_words
from scheduler.jobs.slurm_reasons import meaning_of

register = template.Library()


@dataclass(frozen=True)
class Asked:
    """The job's verbs, for templates: `{% if can.hold %}`."""

    hold: bool
    release: bool
    requeue: bool
    extend: bool
    under_way: bool
    last: Order | None  # under way, or the last that ended; of single tasks none

    @property
    def any(self) -> bool:
        return self.hold or self.release or self.requeue or self.extend


@register.simple_tag
def verbs_of(job: Job) -> Asked:
    found = possible(job)
    verbs = found.verbs
    last = found.under_way or job.orders.filter(task=None).select_related("person").first()
    return Asked(
        "hold" in verbs, "release" in verbs, "requeue" in verbs, "extend" in verbs, found.under_way is not None, last
    )


@register.filter
def order_text(order: Order) -> str:
    return order_words(order)


@register.simple_tag
def left_held(job: Job) -> SlurmHold | None:
    """Slurm's own hold of a job, which an operator ends."""
    return SlurmHold.objects.filter(job=job).first() if job.is_open and job.slurm_job_id else None


@register.filter
def hold_reason(hold: SlurmHold) -> str:
    """What Slurm's word for it means; the word itself where that is not known."""
    meaning = meaning_of(hold.reason)
    return meaning.text if meaning else hold.reason


@register.simple_tag
def waits_for(job: Job) -> list[Dependency]:
    return list(job.dependencies.select_related("on"))


@register.filter
def run_number(job: Job) -> int:
    """Which run of a chain this is."""
    return max(job.runs.count(), 1)
