"""The pages on which a job is described. The server works out all that they show; a browser decides nothing."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.web.requests import PersonRequest
from quotas.programmes.selectors import worth_today_vnd
from scheduler.jobs import selectors, services
from scheduler.jobs.chaining import PLAIN
from scheduler.jobs.data_sets import FIELD
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.form.beginnings import changed, initial_of, sized
from scheduler.jobs.form.chaining_form import ChainingForm
from scheduler.jobs.form.data_sets_form import DataSetsForm
from scheduler.jobs.form.drafts import draft_of
from scheduler.jobs.form.forms import FIELD_OF, PROBE, JobForm
from scheduler.jobs.form.project_presets import (
    project_preset_get,
    project_preset_save,
    project_preset_withdraw,
    project_presets,
)
from scheduler.jobs.library.selectors import presets_offered
from scheduler.jobs.models import Job, ProjectPreset
from scheduler.jobs.preflight import Fix, Problem, Verdict
from scheduler.jobs.presets.stored import filled_stored

NOT_SAID = ("name", "key")  # in a preview: the first may still come, the second is not the person's


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def job_new(request: PersonRequest) -> HttpResponse:
    """The form. POST submits the job; with `fix` it only changes the form (a preset, a one-click fix)."""
    if request.method != "POST":
        return _form_begun(request, _initial(request), is_begun=bool(request.GET))
    if "fix" in request.POST:
        return _form_begun(request, _changed(request), is_begun=True)
    form = JobForm(request.POST, person=request.user)
    ties = ChainingForm(request.POST, person=request.user, preset=form.chosen)
    sets = _data_sets(request, form)
    if form.is_valid() & ties.is_valid() & sets.is_valid():
        try:
            job = services.job_submit(
                person=request.user, chaining=ties.chaining(), data_sets=sets.numbers(), **form.submission()
            )
        except JobRefused as refused:
            form.refuse(refused)
            ties.refuse(refused)
            sets.refuse(refused)
        else:
            return redirect("jobs:job", job.pk)
    if ties.errors or any(form.is_hidden_when_simple(name) for name in form.errors):
        form.put("mode", "advanced")
    preview = _preview(request, form)
    if preview["rendered"]:
        form.put("script", preview["rendered"])
        form.put("line_end", PROBE)
    return _form_page(request, form, preview, is_begun=True, status=422, sets=sets)


@require_POST
@login_required
def job_data_sets(request: PersonRequest) -> HttpResponse:
    """The choice of data sets, for the allocation that was chosen."""
    sets = _data_sets(request, JobForm(request.POST, person=request.user))
    sets.offer()
    return render(request, "jobs/_data_sets.html", {"data_sets": sets})


@require_POST
@login_required
def job_preview(request: PersonRequest) -> HttpResponse:
    """Beside the form, as it is filled in: cost, balance after, what does not fit, the script. Writes nothing."""
    form = JobForm(request.POST, person=request.user)
    form.is_valid()
    return render(request, "jobs/preview.html", _preview(request, form))


@require_POST
@login_required
def preset_save(request: PersonRequest) -> HttpResponse:
    """Keeps the form as it is filled in as a preset of the project. What is still missing in it may be."""
    form = JobForm(request.POST, person=request.user)
    form.is_valid()
    preview, data = _preview(request, form), form.cleaned_data
    needed = {"allocation", "nodes", "gpus_per_node", "time_limit", "script", "save_as"}
    if preview["rendered"] and needed <= data.keys():
        filled = form.filled()
        try:
            saved = project_preset_save(
                person=request.user,
                project=data["allocation"].project,
                title=data["save_as"],
                preset=filled.preset.key if filled else "",
                filled=filled_stored(filled, data.get("partition", ""), _data_sets(request, form).numbers()),
                script=preview["rendered"],
                nodes=max(data["nodes"], 1),
                gpus_per_node=max(data["gpus_per_node"], 1),
                time_limit_s=data["time_limit"],
            )
        except JobRefused as refused:
            form.refuse(refused)
        else:
            said = {"title": saved.title, "version": saved.version, "project": saved.project.title}
            messages.success(request, _("Saved as “%(title)s”, version %(version)d, of %(project)s.") % said)
            return redirect(f"{reverse('jobs:new')}?saved={saved.pk}")
    return _form_page(request, form, preview, is_begun=True, status=422)


@require_POST
@login_required
def preset_withdraw(request: PersonRequest, pk: int) -> HttpResponse:
    preset = project_preset_get(request.user, pk)
    project_preset_withdraw(preset=preset)
    messages.success(request, _("“%(title)s” is offered no more.") % {"title": preset.title})
    return redirect("jobs:new")


def _initial(request: PersonRequest) -> dict[str, Any]:
    again, saved = request.GET.get("again", ""), request.GET.get("saved", "")
    if saved:
        # More digits than a key has name no preset.
        key = int(saved) if saved.isascii() and saved.isdecimal() and len(saved) < 19 else 0
        kept = project_preset_get(request.user, key)
        begin = initial_of(preset="", allocation=request.GET.get("allocation", ""), saved=kept)
        return begin | {"allocation": begin["allocation"] or _allocation_of(request, kept), "saved": kept}
    try:
        job = selectors.job_get(request.user, UUID(again)) if again else None
    except ValueError:
        job = None
    if job is not None and "sized" in request.GET:
        return sized(job, initial_of(preset="", allocation="", again=job))
    preset = request.GET.get("preset", "")
    if not preset and not Job.objects.filter(person=request.user).exists():
        preset = "hello-gpu"  # a first job is one that works
    return initial_of(preset=preset, allocation=request.GET.get("allocation", ""), again=job)


def _allocation_of(request: PersonRequest, kept: ProjectPreset) -> str:
    """The project's only allocation; "" where there is a choice."""
    choices = selectors.submission_choices(request.user)
    rows = [row for choice in choices if choice.project == kept.project for row in choice.allocations]
    return str(rows[0].allocation.pk) if len(rows) == 1 else ""


def _changed(request: PersonRequest) -> dict[str, Any]:
    """The form's data after one click. The script is first written as the form stands: it may become the person's."""
    read = JobForm(request.POST, person=request.user)
    read.is_valid()
    return changed(request.POST, _preview(request, read)["rendered"], request.POST["fix"])


def _form_begun(request: PersonRequest, data: dict[str, Any], *, is_begun: bool) -> HttpResponse:
    """The form as it is filled in so far: nothing in it is wrong yet."""
    choices = selectors.submission_choices(request.user)
    rows = [row for choice in choices for row in choice.allocations]
    if not data.get("allocation") and len(rows) == 1:
        data["allocation"] = str(rows[0].allocation.pk)
    read = JobForm(data, person=request.user)
    read.is_valid()
    preview = _preview(request, read)
    if preview["rendered"]:
        data |= {"script": preview["rendered"], "line_end": PROBE}
    form = JobForm(initial=data, person=request.user)
    return _form_page(request, form, preview, is_begun=is_begun, choices=choices)


def _form_page(
    request: PersonRequest,
    form: JobForm,
    preview: dict[str, Any],
    *,
    is_begun: bool,
    choices: list[selectors.ProjectChoice] | None = None,
    status: int = 200,
    sets: DataSetsForm | None = None,
) -> HttpResponse:
    choices = selectors.submission_choices(request.user) if choices is None else choices
    form.offer(choices)
    ties = ChainingForm(request.POST if request.method == "POST" else None, person=request.user, preset=form.chosen)
    ties.offer()
    sets = sets or _data_sets(request, form)
    sets.offer()
    context = preview | {
        "form": form,
        "chaining": ties,
        "data_sets": sets,
        "presets": presets_offered().values(),
        "project_presets": project_presets(request.user),
        "saved": form.initial.get("saved"),
        "is_begun": is_begun,
        "has_allocation": any(choice.allocations for choice in choices),
    }
    return render(request, "jobs/new.html", context, status=status)


def _preview(request: PersonRequest, form: JobForm) -> dict[str, Any]:
    """What is worked out of the form as far as it can be read."""
    ties = ChainingForm(request.POST if request.method == "POST" else {}, person=request.user, preset=form.chosen)
    sets = _data_sets(request, form)
    draft = draft_of(form, ties.chaining() if ties.is_valid() else PLAIN, sets.numbers())
    said, missing = _errors(form)
    said += [Problem("form", FIELD, str(error)) for errors in sets.errors.values() for error in errors]
    said += [
        Problem("form", name, f"{ties.fields[name].label}: {error}")
        for name, errors in ties.errors.items()
        for error in errors
    ]
    for problem in draft.problems if draft else ():
        if FIELD_OF.get(problem.field, problem.field) in form.errors:
            continue
        if problem.code == "required":
            missing.append(form.label_of(problem))
        else:
            said.append(problem)
    readable = not {"gpus_per_node", "nodes", "time_limit"} & form.errors.keys()
    verdict = draft.verdict if draft and readable else None
    return {
        "verdict": verdict,
        "vnd": _worth_vnd(draft, verdict),
        "choice": form.choice if verdict else None,
        "rendered": draft.rendered if draft and readable else "",
        "problems": [(form.label_of(one), one, [*one.fixes, *_showing(form, one)]) for one in said],
        "missing": missing,
        "is_edited": form.is_edited,
        "edited_preset": form.chosen,
    }


def _worth_vnd(draft: services.Draft | None, verdict: Verdict | None) -> int | None:
    if draft is None or verdict is None or draft.cluster is None:
        return None
    return worth_today_vnd(draft.gpu_type, verdict.cost_gpu_seconds, draft.cluster.name)


def _errors(form: JobForm) -> tuple[list[Problem], list[str]]:
    """What the form could not read, and the labels of what is still empty."""
    said, missing = [], []
    for field, errors in form.errors.as_data().items():
        if field in NOT_SAID:
            continue
        for error in errors:
            if error.code == "required" and field in form.fields:
                missing.append(str(form.fields[field].label))
            else:
                said += [Problem("form", field, message) for message in error.messages]
    return said, missing


def _showing(form: JobForm, problem: Problem) -> list[Fix]:
    """A way to the field that a problem is about, where the simple form hides it."""
    if form.cleaned_data.get("mode") == "advanced" or not form.is_hidden_when_simple(problem.field):
        return []
    return [Fix("mode", "advanced", _("Show this field"))]


def _data_sets(request: PersonRequest, form: JobForm) -> DataSetsForm:
    sent = request.POST if request.method == "POST" else None
    return DataSetsForm(sent, person=request.user, values=form.data if form.is_bound else form.initial)
