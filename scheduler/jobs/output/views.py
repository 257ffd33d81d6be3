"""The parts of a job's page that the cluster's worker answers for: log, files, what was used.

Each asks for itself again for as long as something can change, and answers 204 where nothing has: what a person reads
or has marked stays as it is.
"""

from contextlib import suppress
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.files.responses import only_download
from portal.people.selectors import projects_of
from portal.web.requests import PersonRequest
from scheduler.jobs import selectors
from scheduler.jobs.asking import NotReachable
from scheduler.jobs.models import Job
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question, TooManyFiles, measured_of
from scheduler.jobs.output.efficiency import efficiency_of
from scheduler.jobs.output.results import results_shown
from scheduler.jobs.output.rightsize import right_sized
from scheduler.jobs.output.shown import listing_shown, log_shown, logs_named, refusal_text, run_number
from scheduler.jobs.output.tunnel import tunnel_of


@require_safe
@login_required
def job_log(request: PersonRequest, pk: UUID) -> HttpResponse:
    """The end of one run's log. `run` is Slurm's number of the run, the last one unless said."""
    job = selectors.job_get_readable(request.user, pk)
    number = run_number(job, request.GET.get("run", ""))
    log = log_shown(job, number)
    if request.GET.get("seen") == log.version:
        return HttpResponse(status=204)
    context = {"job": job, "log": log, "logs": logs_named(job), "number": number}
    return render(request, "jobs/log.html", context)


@require_safe
@login_required
def job_files(request: PersonRequest, pk: UUID) -> HttpResponse:
    job = selectors.job_get_readable(request.user, pk)
    listing = listing_shown(job)
    if request.GET.get("seen") == listing.version:
        return HttpResponse(status=204)
    return render(request, "jobs/files.html", {"job": job, "listing": listing, "results": results_shown(job, listing)})


@require_safe
@login_required
def job_file_fetch(request: PersonRequest, pk: UUID) -> HttpResponse:
    """Where one file's bytes are: being brought, here (then the page saves them), or refused."""
    job, question = _file_question(request, pk)
    context: dict[str, object] = {"job": job, "query": urlencode({"p": question.path}, doseq=True)}
    try:
        reply = asking.file_ask(question, cluster=job.cluster.name, person_id=request.user.pk)
    except TooManyFiles:
        context["refusal"] = _("Several files are being fetched already. Try again in a minute.")
    except NotReachable:
        context["refusal"] = refusal_text("away", "")
    else:
        context["is_here"] = reply is not None and not reply.code
        context["refusal"] = refusal_text(reply.code, reply.message) if reply is not None and reply.code else ""
    return render(request, "jobs/file_fetch.html", context)


@require_safe
@login_required
def job_file(request: PersonRequest, pk: UUID) -> HttpResponse:
    """The file itself, once it was brought. Whoever comes without scripts is told to try again."""
    job, question = _file_question(request, pk)
    try:
        data = asking.file_take(question)
        if data is None:
            asking.file_ask(question, cluster=job.cluster.name, person_id=request.user.pk)
    except (NotReachable, TooManyFiles):
        data = None
    if data is None:
        messages.info(request, _("The file is being fetched from the cluster. Ask for it again in a few seconds."))
        return redirect("jobs:job", job.pk)
    response = HttpResponse(data, content_type="application/octet-stream")
    only_download(response, question.path[-1])
    return response


@require_safe
@login_required
def job_usage(request: PersonRequest, pk: UUID) -> HttpResponse:
    """After the end: what it used of what it asked for, and a size that would have been enough. Everybody who sees the
    job sees this."""
    job = selectors.job_get(request.user, pk)
    if job.is_open:
        return HttpResponse(status=204)
    measured, is_coming = measured_of(job)
    if is_coming and request.GET.get("seen") == "coming":
        return HttpResponse(status=204)
    used = efficiency_of(job, measured)
    may_submit = bool(job.script) and projects_of(request.user).filter(pk=job.project_id).exists()
    context = {"job": job, "used": used, "is_coming": is_coming, "may_submit": may_submit}
    if may_submit and not is_coming:
        context["changes"] = right_sized(job, used, measured)
    return render(request, "jobs/usage.html", context)


@require_safe
@login_required
def job_tunnel(request: PersonRequest, pk: UUID) -> HttpResponse:
    """How its owner reaches what a running job serves. Asks for itself until the job has ended."""
    job = selectors.job_get_readable(request.user, pk)
    found = None
    if job.state == Job.State.RUNNING and job.slurm_job_id:
        with suppress(NotReachable):
            reply = asking.ask(Question(job.pk, "tunnel"), cluster=job.cluster.name)
            text = reply.body.get("text", "") if reply is not None else ""
            found = tunnel_of(text, unix_account=job.unix_account, number=job.slurm_job_id)
    version = found.command if found else ""
    if job.is_open and request.GET.get("seen", "-") == version:
        return HttpResponse(status=204)
    return render(request, "jobs/tunnel.html", {"job": job, "tunnel": found, "version": version})


def _file_question(request: PersonRequest, pk: UUID) -> tuple[Job, Question]:
    job = selectors.job_get_readable(request.user, pk)
    return job, Question(job.pk, "file", path=tuple(request.GET.getlist("p")))
