"""The part of a job's page about its GPUs. It asks for itself again for as long as something can change, and answers
204 where nothing has: what a person reads stays as it is."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from monitoring.gpus.asking import SPANS_S, every_s, is_measured, runs_shown, seen_of
from monitoring.gpus.chart import charts_of, rows_of, ticks_of
from monitoring.gpus.summary import is_coming, summary_of
from portal.people.selectors import projects_of
from portal.web.requests import PersonRequest
from quotas.estimator.peaks import PEAKS_VERSION
from scheduler.jobs.asking import NotReachable
from scheduler.jobs.models import Job
from scheduler.jobs.selectors import job_get

COMING_EVERY_S, WAITING_EVERY_S = 5, 10


@require_safe
@login_required
def job(request: PersonRequest, pk: UUID) -> HttpResponse:
    """Charts while it runs; after its end what came of it, and the charts of the whole run. For everybody who sees the
    job."""
    found = job_get(request.user, pk)
    if not found.gpus or not settings.PROMETHEUS_URL or not is_measured(found):
        return HttpResponse(status=204)
    chosen = request.GET.get("span", "")
    span = chosen if chosen in SPANS_S else "hour" if found.is_open else "run"
    context = _context(found, span) | {"job": found, "span": span, "spans": SPANS_S, "chosen": chosen in SPANS_S}
    context["may_submit"] = bool(found.script) and projects_of(request.user).filter(pk=found.project_id).exists()
    if request.GET.get("seen") == context["version"]:
        return HttpResponse(status=204)
    return render(request, "gpus/job.html", context)


def _context(found: Job, span: str) -> dict[str, object]:
    if not runs_shown(found):
        return {"version": "none", "every_s": WAITING_EVERY_S if found.is_open else 0, "nothing": True}
    try:
        seen = seen_of(found, span)
    except NotReachable:
        return {"version": "away", "every_s": every_s(), "away": True}
    summary = None if found.is_open else summary_of(found, seen)
    coming = not found.is_open and is_coming(found, summary)
    shown = seen is not None and seen.has_points
    context: dict[str, object] = {
        "seen": seen,
        "charts": charts_of(seen) if seen and shown else [],
        "rows": rows_of(seen) if seen and shown else [],
        "ticks": ticks_of(seen) if seen and shown else [],
        "summary": summary,
        "is_coming": coming,
        "peaks_version": PEAKS_VERSION,
        "every_s": _every(found, coming, asked=seen is not None),
    }
    # The span is in it: a person who chose another one gets it.
    facts = (span, seen.at if seen else "", coming, summary.is_counted if summary else "", found.is_open)
    context["version"] = "-".join(map(str, facts))
    return context


def _every(found: Job, coming: bool, *, asked: bool) -> float:
    """Seconds; 0: not again."""
    if not asked:
        return 2
    if found.is_open:
        return every_s()
    return COMING_EVERY_S if coming else 0
