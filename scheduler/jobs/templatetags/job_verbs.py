"""`{% load job_verbs %}`: {% verbs_of job as can %} says what may be asked of a job now and what was asked last."""

from dataclasses import dataclass

from django import template

from scheduler.jobs.models import Dependency, Job, Order
from scheduler.jobs.orders.verbs import possible
from scheduler.jobs.orders.words import order_words

register = template.Library()


@dataclass(frozen=True)
class Asked:
    """The job's verbs, for templates: `{% if can.hold %}`."""

    hold: bool
    release: bool
    requeue: bool
    extend: bool
    last: Order | None  # under way, or the last that ended; of single tasks none

    @property
    def any(self) -> bool:
        return self.hold or self.release or self.requeue or self.extend


@register.simple_tag
def verbs_of(job: Job) -> Asked:
    found = possible(job)
    verbs = found.verbs
    last = found.under_way or job.orders.filter(task=None).select_related("person").first()
    return Asked("hold" in verbs, "release" in verbs, "requeue" in verbs, "extend" in verbs, last)


@register.filter
def order_text(order: Order) -> str:
    return order_words(order)


@register.simple_tag
def waits_for(job: Job) -> list[Dependency]:
    return list(job.dependencies.select_related("on"))


@register.filter
def run_number(job: Job) -> int:
    """Which run of a chain this is."""
    return max(job.runs.count(), 1)
