"""`{% load jobs %}`: {% job_state job.state %} is the state's badge, {{ job|job_reason }} why it is so."""

from django import template
from django.utils.safestring import SafeString

from portal.web.templatetags.ui import badge
from scheduler.jobs.models import Job
from scheduler.jobs.reasons import Reason, reason_of

register = template.Library()

_SIGNS = {
    Job.State.QUEUED: ("busy", "send"),
    Job.State.SUBMITTING: ("busy", "send"),
    Job.State.UNKNOWN: ("warn", "help-circle"),
    Job.State.REFUSED: ("bad", "ban"),
    Job.State.PENDING: ("quiet", "clock"),
    Job.State.RUNNING: ("busy", "player-play"),
    Job.State.SUSPENDED: ("warn", "player-pause"),
    Job.State.COMPLETED: ("good", "circle-check"),
    Job.State.FAILED: ("bad", "circle-x"),
    Job.State.TIMEOUT: ("bad", "hourglass"),
    Job.State.CANCELLED: ("quiet", "player-stop"),
    Job.State.NODE_FAIL: ("bad", "server"),
}


@register.simple_tag
def job_state(state: str) -> SafeString:
    tone, icon = _SIGNS[Job.State(state)]
    return badge(tone, icon, Job.State(state).label)


@register.filter
def job_reason(job: Job) -> Reason | None:
    return reason_of(job)
